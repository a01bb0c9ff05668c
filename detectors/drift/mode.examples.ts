/** Examples of GPU-005. */
import type { Example } from '../../detect/detector.ts'
import { baseline, baselinePolicy, changed, gpu, told } from './samples.ts'
import { gpuPolicy, inJob, inPod, maintainer, ofUnit } from '../gpu/example-actors.ts'

const call = { actor_kind: 'gpu_call', actor_action: 'SET_MIG_MODE' }

const fires: Example[] = [
  {
    name: 'a pod turns MIG off', policy: gpuPolicy,
    events: [told(0, gpu, 'mig_mode', 'enabled'), changed(1000, gpu, 'mig_mode',
      ['enabled', 'disabled'], inPod(470, '/usr/bin/nvidia-smi'), call)],
    fires: ['The sharing of GPUs of node-1 changed: mig_mode of gpu:GPU-b1000000-0c4b-45a1-9a54-'
      + '6a5f1f8c0001: enabled → disabled. Just before, /usr/bin/nvidia-smi'],
  },
  {
    name: 'a job takes a GPU for itself, where no administrators are named',
    events: [told(0, gpu, 'compute_mode', 'default'), changed(1000, gpu, 'compute_mode',
      ['default', 'exclusive_process'], inJob(471, '/opt/conda/bin/python3.12'), call)],
    fires: ['default → exclusive_process'],
  },
  {
    name: 'a node without MIG, where the baseline wants it', policy: baselinePolicy,
    events: [baseline(0, '  - {subject: gpu, item: mig_mode, value: enabled}\n'),
      told(10, gpu, 'mig_mode', 'disabled')],
    fires: ['the baseline h100 wants enabled'],
  },
]

const quiet: Example[] = [
  { name: 'an administrator makes instances', policy: gpuPolicy, fires: [],
    events: [told(0, gpu, 'mig_devices', 'none'),
      changed(1000, gpu, 'mig_devices', ['none', 'MIG-1'], maintainer, call)] },
  { name: 'somebody on the node does, and no administrators are named', fires: [],
    events: [told(0, gpu, 'mig_mode', 'disabled'), changed(1000, gpu, 'mig_mode',
      ['disabled', 'enabled'], ofUnit(472, '/usr/bin/nvidia-smi', 'ssh.service'), call)] },
]

export const modeChangeExamples = { fires, quiet }
