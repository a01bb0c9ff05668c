/** Examples of GPU-008: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../../detect/detector.ts'
import type { FirmwareLoad } from '../../proto/gen/events.ts'
import { afterMaintenanceMs, gpuPolicy, inJob, maintainer, ofUnit } from './example-actors.ts'

const daemon = ofUnit(330, '/usr/bin/nvidia-persistenced', 'nvidia-persistenced.service')
const gsp = (
  at_ms: number, version: string, sha256: string, more: Partial<FirmwareLoad> = {},
  node_id = 'node-1', process = daemon,
): ExampleEvent => ({
  kind: 'firmware_load', at_ms, node_id, process, values: {
    firmware: `nvidia/${version}/gsp_ga10x.bin`, device_name: '0000:1b:00.0', sha256,
    path: `/usr/lib/firmware/nvidia/${version}/gsp_ga10x.bin`, firmware_version: version, ...more,
  },
})

const fires: Example[] = [
  {
    name: 'a search path that was redirected',
    events: [gsp(0, '570.124.06', 'aa', { path: '/opt/fw/nvidia/570.124.06/gsp_ga10x.bin' })],
    fires: ['from /opt/fw/nvidia/570.124.06/gsp_ga10x.bin, so that the search path'],
  },
  {
    name: 'one node of three whose firmware has other bytes',
    events: [gsp(0, '570.124.06', 'aa'), gsp(1, '570.124.06', 'aa', {}, 'node-2'),
      gsp(2, '570.124.06', 'bb', {}, 'node-3'), gsp(3, '570.124.06', 'bb', {}, 'node-3')],
    fires: ['whose content is not that of 2 other nodes (SHA-256 aa…)'],
  },
  {
    name: 'a file that says that it is of another driver',
    events: [gsp(0, '570.124.06', 'aa', { firmware_version: '570.124.05' })],
    fires: ['which says that it is of 570.124.05'],
  },
  {
    name: 'firmware that was exchanged on the node, in maintenance, too',
    policy: gpuPolicy,
    events: [gsp(0, '570.124.06', 'aa'), gsp(1000, '570.124.06', 'cc', {}, 'node-1', maintainer)],
    fires: ['whose content is not that of the time before'],
  },
  {
    name: 'firmware of another driver when maintenance is over',
    policy: gpuPolicy,
    events: [gsp(0, '570.124.06', 'aa'),
      gsp(afterMaintenanceMs, '580.10.01', 'dd', {}, 'node-1', maintainer)],
    fires: ['which the node had not loaded before. It is outside of every maintenance window'],
  },
]

const staysQuiet: Example[] = [
  {
    name: 'the same file whenever a job wakes the GPU',
    policy: gpuPolicy,
    events: [gsp(0, '570.124.06', 'aa'),
      gsp(5_000_000, '570.124.06', 'aa', {}, 'node-1', inJob(600, '/usr/bin/python3.11')),
      gsp(5_000_001, '570.124.06', 'aa', {}, 'node-2')],
    fires: [],
  },
  {
    name: 'a new driver and its firmware, by who may and when it may; compressed elsewhere',
    policy: gpuPolicy,
    events: [gsp(0, '570.124.06', 'aa'), gsp(1000, '580.10.01', 'dd', {}, 'node-1', maintainer),
      gsp(1001, '580.10.01', 'ee',
        { path: '/usr/lib/firmware/nvidia/580.10.01/gsp_ga10x.bin.xz' }, 'node-2', maintainer)],
    fires: [],
  },
  {
    name: 'firmware of a network card, and one that is not there',
    events: [
      { kind: 'firmware_load', at_ms: 0, values: {
        firmware: 'mellanox/mlx5.bin', path: '/usr/lib/firmware/mellanox/mlx5.bin', sha256: '1' } },
      gsp(1, '570.124.06', '', { path: '', error: 2, firmware_version: '' })],
    fires: [],
  },
]

export const firmwareLoadExamples = [fires, staysQuiet] as const
