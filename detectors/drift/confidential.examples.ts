/** Examples of GPU-004. */
import type { Example } from '../../detect/detector.ts'
import { baseline, baselinePolicy, changed, gpu, lost, told } from './samples.ts'
import { gpuPolicy, maintainer, ofUnit } from '../gpu/example-actors.ts'

const required = 'version: 1\ngpus:\n  confidential_computing: required\n'
const kmod = ofUnit(460, '/usr/bin/kmod', 'ssh.service')
const feature = 'conf_compute_feature'
const good = (at: number) => [told(at, 'host', 'tdx_guest', 'on'),
  lost(at, 'host', 'sev_snp_guest', '', 'not_supported'), told(at, 'driver', feature, 'hcc'),
  told(at, 'driver', 'conf_compute_environment', 'production'),
  told(at, 'driver', 'conf_compute_dev_tools_mode', 'off')]

const fires: Example[] = [
  {
    name: 'it is off after the driver was loaded again', policy: required,
    events: [...good(0), changed(9000, 'driver', feature, ['hcc', 'disabled'], kmod)],
    fires: ['The confidential computing of node-1 changed: conf_compute_feature: hcc → disabled. '
      + 'Just before, /usr/bin/kmod'],
  },
  {
    name: 'a GPU in developer mode, where the policy requires confidential computing',
    policy: required, events: [told(0, 'driver', 'conf_compute_dev_tools_mode', 'on')],
    fires: ['is not what it must be: conf_compute_dev_tools_mode: on'],
  },
  {
    name: 'a GPU that has none, where the policy requires it', policy: required,
    events: [lost(0, 'driver', feature, '', 'not_supported')],
    fires: ['conf_compute_feature: not there'],
  },
  {
    name: 'a GPU in confidential mode in a machine that is none', policy: required,
    events: [told(0, 'driver', feature, 'hcc'), told(10, 'host', 'tdx_guest', 'off'),
      lost(20, 'host', 'sev_snp_guest', '', 'not_supported')],
    fires: ['sev_snp_guest: not there'],
  },
  {
    name: 'the machine is no confidential one any more, whatever the policy says',
    events: [told(0, 'host', 'tdx_guest', 'on'), changed(9000, 'host', 'tdx_guest', ['on', 'off'])],
    fires: ['tdx_guest: on → off'],
  },
  {
    name: 'nothing shows any more that it is on', policy: required,
    events: [...good(0), lost(9000, 'driver', feature, 'hcc')],
    fires: ['cannot be known'],
  },
  {
    name: 'the baseline wants a mode that the GPU does not have', policy: baselinePolicy,
    events: [baseline(0, `  - {subject: driver, item: ${feature}, value: hcc}\n`),
      told(10, 'driver', feature, 'apm')],
    fires: ['the baseline h100 wants hcc'],
  },
]

const quiet: Example[] = [
  { name: 'all that the policy requires', policy: required, events: good(0), fires: [] },
  { name: 'GPUs without it, where nobody asks for it', fires: [],
    events: [told(0, 'driver', feature, 'disabled'), told(0, 'host', 'tdx_guest', 'off'),
      told(0, gpu, 'conf_compute_protected_memory_kib', '0')] },
  { name: 'a GPU that is not reached, where nobody asks for it', fires: [],
    events: [told(0, 'driver', feature, 'hcc'), lost(9000, 'driver', feature, 'hcc')] },
  { name: 'an administrator turns it off in maintenance, where nobody requires it', fires: [],
    policy: gpuPolicy, events: [told(0, 'driver', feature, 'hcc'),
      changed(1000, 'driver', feature, ['hcc', 'disabled'], maintainer)] },
]

export const confidentialLostExamples = { fires, quiet }
