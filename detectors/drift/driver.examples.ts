/** Examples of GPU-001. */
import type { Example } from '../../detect/detector.ts'
import { baseline, baselinePolicy, changed, gpu, lost, told } from './samples.ts'
import { afterMaintenanceMs, gpuPolicy, inPod, maintainer, ofUnit } from '../gpu/example-actors.ts'

const kmod = ofUnit(420, '/usr/bin/kmod', 'ssh.service')
const reload = (at: number, process = kmod) => [
  changed(at, 'driver', 'version', ['570.124.06', '570.211.01'], process),
  changed(at, 'driver', 'module_nvidia_version', ['570.124.06', '570.211.01'], process),
  changed(at + 5, 'driver', 'module_nvidia_srcversion', ['AA', 'BB'], process),
  changed(at + 900, 'driver', 'nvml_driver_version', ['570.124.06', '570.211.01'], process),
]
const start = [told(0, 'driver', 'version', '570.124.06'), told(0, 'driver', 'flavour', 'open')]
const wanted = '  - {subject: driver, item: version, at_least: 570.124.06}\n'

const fires: Example[] = [
  {
    name: 'another driver is loaded, and nobody said that it may',
    events: [...start, ...reload(60_000)],
    fires: ['The driver of node-1 changed: version: 570.124.06 → 570.211.01, and 3 further items. '
      + 'Just before, /usr/bin/kmod (pid 420, uid 0, workload ssh.service) did kernel_module load '
      + 'nvidia. The policy names no administrators of GPUs.'],
  },
  {
    name: 'another driver is there after the node was started again: nobody was seen',
    events: [...start, told(60_000, 'driver', 'version', '535.104.05')],
    fires: ['version: 570.124.06 → 535.104.05. Nobody was seen who did it.'],
  },
  {
    name: 'an administrator loads another driver after the maintenance',
    policy: gpuPolicy, events: [...start, ...reload(afterMaintenanceMs, maintainer)],
    fires: ['outside of every maintenance window'],
  },
  {
    name: 'a pod changes the parameters of the driver', policy: gpuPolicy,
    events: [told(0, 'driver', 'registry', '""'),
      changed(1000, 'driver', 'registry', ['""', 'RmDebug=1'], inPod(430, '/usr/bin/tee'))],
    fires: ['registry: "" → RmDebug=1'],
  },
  {
    name: 'a node comes with a driver that its baseline does not allow', policy: baselinePolicy,
    events: [baseline(0, wanted), told(1000, 'driver', 'version', '535.104.05')],
    fires: ['is not what it must be: version: 535.104.05 (the baseline h100 wants at least '
      + '570.124.06)'],
  },
  {
    name: 'a baseline comes into force that a node does not meet', policy: baselinePolicy,
    events: [told(0, 'driver', 'version', '535.104.05'), told(0, 'driver', 'flavour', 'open'),
      baseline(1000, wanted)],
    fires: ['is not what it must be: version: 535.104.05'],
  },
  {
    name: 'a GPU is handed to another driver',
    events: [told(0, gpu, 'pci_driver', 'nvidia'),
      changed(1000, gpu, 'pci_driver', ['nvidia', 'vfio-pci'], kmod)],
    fires: ['nvidia → vfio-pci'],
  },
]

const quiet: Example[] = [
  {
    name: 'what is read first, whatever it is',
    events: [...start, told(0, 'driver', 'registry', 'RmDebug=1'),
      told(0, gpu, 'pci_driver', 'vfio-pci')],
    fires: [],
  },
  {
    name: 'the driver is loaded again, and is the same',
    events: [...start, lost(1000, 'driver', 'version', '570.124.06', 'unknown', kmod),
      changed(2000, 'driver', 'version', ['570.124.06', '570.124.06'], kmod),
      changed(2000, gpu, 'pci_driver', ['nvidia', 'none'], kmod),
      changed(2000, gpu, 'pci_driver', ['none', 'nvidia'], kmod)],
    fires: [],
  },
  {
    name: 'an update in maintenance by an administrator',
    policy: gpuPolicy, events: [...start, ...reload(60_000, maintainer)], fires: [],
  },
  {
    name: 'an update to what the baseline wants', policy: baselinePolicy,
    events: [baseline(0, wanted), told(1000, 'driver', 'version', '570.124.06'),
      changed(60_000, 'driver', 'version', ['570.124.06', '570.211.01'], maintainer)],
    fires: [],
  },
]

export const driverDriftExamples = { fires, quiet }
