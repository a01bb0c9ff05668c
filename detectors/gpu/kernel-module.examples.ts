/** Examples of GPU-007: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../../detect/detector.ts'
import type { KernelModule, Process } from '../../proto/gen/events.ts'
import { afterMaintenanceMs, gpuPolicy, inPod, maintainer, ofUnit, udev } from './example-actors.ts'

const tree = '/usr/lib/modules/6.12.117/updates/dkms'
const driver = (version: string): Partial<KernelModule> => ({
  action: 'load', module: 'nvidia', version, srcversion: `S${version}`, taints: 1 | 1 << 12,
  path: `${tree}/nvidia.ko`, signature_trusted: 'yes',
})
const dummy: Partial<KernelModule> = {
  action: 'load', module: 'dummy', path: '/usr/lib/modules/6.12.117/kernel/drivers/net/dummy.ko',
  srcversion: 'AB', signature_trusted: 'yes',
}
const module = (
  at_ms: number, process: Partial<Process>, values: Partial<KernelModule>,
): ExampleEvent => ({ kind: 'kernel_module', at_ms, process, values })

const shell = (pid: number): Partial<Process> => ofUnit(pid, '/usr/bin/kmod', 'ssh.service')

const fires: Example[] = [
  {
    name: 'a module from a temporary folder',
    events: [module(0, shell(400), { ...dummy, path: '/tmp/x/dummy.ko' })],
    fires: ['loaded the kernel module dummy, from /tmp/x/dummy.ko'],
  },
  {
    name: 'a compressed one, which insmod unpacks in its memory',
    events: [
      { kind: 'process_exec', at_ms: 0, process: shell(405),
        values: { exe: '/usr/bin/kmod', args: ['insmod', '-f', '/tmp/x/dummy.ko.xz', 'a=1'] } },
      module(1, shell(405), { ...dummy, path: '' })],
    fires: ['loaded the kernel module dummy, from /tmp/x/dummy.ko.xz'],
  },
  {
    name: 'a rootkit without a signature, out of the memory of a program',
    events: [module(0, ofUnit(401, '/opt/miner', 'cron.service'),
      { action: 'load', module: 'netfilterd', taints: 1 << 12 | 1 << 13,
        signature_trusted: 'no' })],
    fires: ['without a signature that the kernel trusts, out of its memory, with no file'],
  },
  {
    name: 'a module that a pod loads',
    events: [module(0, inPod(402, '/usr/bin/kmod'), { ...dummy, in_container: true })],
    fires: ['loaded the kernel module dummy, out of a container'],
  },
  {
    name: 'an older driver than before, in maintenance, too',
    policy: gpuPolicy,
    events: [module(0, udev, driver('570.124.06')),
      module(1000, maintainer, { action: 'unload', module: 'nvidia' }),
      module(2000, maintainer, driver('535.104.05'))],
    fires: ['which is older than 570.124.06, the one before'],
  },
  {
    name: 'another driver when maintenance is over',
    policy: gpuPolicy,
    events: [module(0, udev, driver('570.124.06')),
      module(afterMaintenanceMs, maintainer, driver('580.10.01'))],
    fires: ['in the place of 570.124.06. It is outside of every maintenance window'],
  },
  {
    name: 'a driver that is taken from under the GPUs by someone else',
    policy: gpuPolicy,
    events: [module(0, shell(403), { action: 'unload', module: 'nvidia_uvm' })],
    fires: ['unloaded the kernel module nvidia_uvm, on which GPUs depend. The policy does not'],
  },
  {
    name: 'a module whose signature the kernel refuses',
    events: [module(0, shell(404), {
      action: 'refused', module: 'dummy', path: '/usr/lib/modules/6.12.117/dummy.ko',
      error: 129 })],
    fires: ['tried to load the kernel module dummy, which the kernel refused (error 129)'],
  },
]

const staysQuiet: Example[] = [
  {
    name: 'modules of the distribution that udev and modprobe load, compressed ones from memory',
    events: [module(0, udev, dummy), module(1, shell(410), { ...dummy, module: 'loop' }),
      module(2, udev, { ...dummy, path: '' }),
      module(3, shell(410), { action: 'unload', module: 'dummy' }),
      module(4, udev, { action: 'refused', module: 'sp5100_tco', error: 19 })],
    fires: [],
  },
  {
    name: 'the same signed driver at every boot, maintenance or not',
    policy: gpuPolicy,
    events: [module(0, udev, driver('570.124.06')),
      module(afterMaintenanceMs, udev, driver('570.124.06'))],
    fires: [],
  },
  {
    name: 'a newer driver, by who may and when it may',
    policy: gpuPolicy,
    events: [module(0, udev, driver('570.124.06')),
      module(1000, maintainer, { action: 'unload', module: 'nvidia' }),
      module(2000, maintainer, driver('580.10.01'))],
    fires: [],
  },
]

export const kernelModuleExamples = [fires, staysQuiet] as const
