/** Examples of GPU-003. */
import type { Example } from '../../detect/detector.ts'
import { baseline, baselinePolicy, changed, gpu, told } from './samples.ts'
import { gpuPolicy, inPod, maintainer, ofUnit } from '../gpu/example-actors.ts'

const smi = ofUnit(450, '/usr/bin/nvidia-smi', 'ssh.service')
const profiling = 'param_rm_profiling_admin_only'

const fires: Example[] = [
  {
    name: 'profiling is open to all users after the driver was loaded again',
    events: [told(0, 'driver', profiling, '1'),
      changed(1000, 'driver', profiling, ['1', '0'], ofUnit(451, '/usr/bin/kmod', 'ssh.service'))],
    fires: ['The protection of node-1 changed: param_rm_profiling_admin_only: 1 → 0'],
  },
  {
    name: 'ECC is turned off', events: [told(0, gpu, 'ecc_mode_pending', 'enabled'),
      changed(1000, gpu, 'ecc_mode_pending', ['enabled', 'disabled'], smi,
        { actor_kind: 'gpu_call', actor_action: 'GPU_SET_ECC_CONFIGURATION' })],
    fires: ['did gpu_call GPU_SET_ECC_CONFIGURATION'],
  },
  {
    name: 'a container may choose its GPUs by a variable', policy: gpuPolicy,
    events: [told(0, 'toolkit', 'config_accept_nvidia_visible_devices_envvar_when_unprivileged',
      'false'), changed(1000, 'toolkit',
      'config_accept_nvidia_visible_devices_envvar_when_unprivileged', ['false', 'true'],
      inPod(452, '/usr/bin/sed'))],
    fires: ['false → true'],
  },
  {
    name: 'everybody may write to a device',
    events: [told(0, 'driver', 'device_node_nvidia0', 'c 195:0 0660 0:44'),
      changed(1000, 'driver', 'device_node_nvidia0', ['c 195:0 0660 0:44', 'c 195:0 0666 0:44'])],
    fires: ['0660 0:44 → c 195:0 0666 0:44'],
  },
  {
    name: 'a node without ECC, where the baseline wants it', policy: baselinePolicy,
    events: [baseline(0, '  - {subject: gpu, item: ecc_mode, value: enabled}\n'),
      told(10, gpu, 'ecc_mode', 'disabled')],
    fires: ['the baseline h100 wants enabled'],
  },
]

const quiet: Example[] = [
  { name: 'what was never on, and nobody wants', fires: [],
    events: [told(0, gpu, 'ecc_mode', 'disabled'), told(0, 'driver', profiling, '0')] },
  { name: 'ECC is turned on', fires: [], events: [told(0, gpu, 'ecc_mode', 'disabled'),
    changed(1000, gpu, 'ecc_mode', ['disabled', 'enabled'], smi)] },
  { name: 'an administrator turns ECC off in maintenance', policy: gpuPolicy, fires: [],
    events: [told(0, gpu, 'ecc_mode', 'enabled'),
      changed(1000, gpu, 'ecc_mode', ['enabled', 'disabled'], maintainer)] },
]

export const protectionOffExamples = { fires, quiet }
