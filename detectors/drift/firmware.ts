import { defineDrift } from './drift.ts'
import { firmwareDriftExamples } from './firmware.examples.ts'
import { shifted } from '../gpu/standing.ts'

export default defineDrift({
  id: 'GPU-002',
  title: 'Drift of the firmware of GPUs: VBIOS, InfoROM, GSP, or where it is loaded from',
  severity: 'medium',
  attack: ['T1542.001', 'T1495'],
  atlas: [],
  blindSpots: [
    'Firmware that lies about its version: only attestation evidence can show it '
      + '(`vedette baseline check --evidence`).',
    'Firmware of the GPU that has no version that the driver tells.',
  ],
  runbook: 'Firmware outlives a reinstallation of the node. Find the maintenance that brought it; '
    + 'if there is none, take the GPU out of service, ask it for attestation evidence, and check '
    + 'the firmware files of the node against the package of the driver.',
  of: 'firmware',
  what: 'firmware',
  judge({ now, isNews, checked }, { severity }) {
    if (severity === null) return null
    if (!isNews || checked?.verdict === 'matches') return severity
    // Files of a driver that is installed beside the one that runs: what they hold is told, too.
    if (now.item === 'files') return checked === null ? 'low' : severity
    // What a version holds never changes; a path that was set is searched before all others.
    const isForged = now.item.startsWith('file:') || now.value === 'corrupt' ||
      (now.item === 'search_path' && now.value !== 'none')
    return isForged ? shifted(severity, 1) : severity
  },
  nextSteps: [
    'Compare with other nodes of the class: `vedette gpu`.',
    'If no maintenance explains it, take the GPU out of service and verify its evidence: '
      + '`vedette baseline check --evidence FILE`.',
  ],
  examples: [...firmwareDriftExamples.fires, ...firmwareDriftExamples.quiet],
})
