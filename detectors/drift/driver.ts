import { defineDrift } from './drift.ts'
import { driverDriftExamples } from './driver.examples.ts'
import { shifted } from '../gpu/standing.ts'
import { isOlder } from '../gpu/version.ts'

/** A driver that has a GPU, or none while it is loaded; others give the GPU to somebody else. */
const usualDrivers = new Set(['nvidia', 'nouveau', 'none'])
const isVersion = /^(?:version|nvml_driver_version|module_nvidia\w*_version)$/

export default defineDrift({
  id: 'GPU-001',
  title: 'Drift of the driver of GPUs, its modules or the container toolkit',
  severity: 'medium',
  attack: ['T1601.002', 'T1547.006'],
  atlas: [],
  blindSpots: [
    'A module that was rebuilt with the version and srcversion of the one before it.',
    'A change that is undone within the minute between two readings, and is no load of a module.',
    'Code that is changed in memory while the module is loaded.',
  ],
  runbook: 'Find out whether somebody of the team did it: who is named, and is it a planned '
    + 'update? If so, put the new values into the baseline and sign it. If not, drain the node '
    + 'before anything else runs on its GPUs, and compare the modules with the packages.',
  of: 'driver',
  what: 'driver',
  judge({ now, old, checked, isNews }, { severity }) {
    if (severity === null) return null
    // The driver is unloaded or comes back: who does so is told where modules are watched.
    const isBinding = now.item === 'pci_driver' || now.item === 'pci_driver_override'
    if (isBinding && checked?.verdict !== 'differs' && usualDrivers.has(now.value)) return null
    if (!isNews || checked?.verdict === 'matches') return severity
    const isWeaker = (now.item.endsWith('_signed') && now.value === 'no') ||
      (isVersion.test(now.item) && isOlder(now.value, old))
    return isWeaker ? shifted(severity, 1) : severity
  },
  nextSteps: [
    'Ask who maintains the driver whether this update was meant to be.',
    'If nobody can say so, drain the node and reinstall driver and toolkit from packages.',
  ],
  examples: [...driverDriftExamples.fires, ...driverDriftExamples.quiet],
})
