import { protectionChange } from '../../gpu/state/item-classes.ts'
import { defineDrift } from './drift.ts'
import { protectionOffExamples } from './protection.examples.ts'
import { shifted } from '../gpu/standing.ts'

/** They keep nobody apart: without them one only sees less. */
const minor = /^(?:persistence_mode|accounting_mode|api_restriction_)/

export default defineDrift({
  id: 'GPU-003',
  title: 'A protection of GPUs was turned off',
  severity: 'medium',
  attack: ['T1562.001'],
  atlas: [],
  blindSpots: [
    'A protection that was never on, where no baseline wants it.',
    'Settings that the driver tells nobody.',
  ],
  runbook: 'Turn it on again unless a planned change explains it: profiling open to all users '
    + 'lets tenants watch each other, without ECC a flipped bit is not seen, and a looser '
    + 'container toolkit lets containers choose what they get. Then ask who turned it off.',
  of: 'protection',
  what: 'protection',
  judge({ now, old, isNews, checked }, { severity }) {
    if (severity === null) return null
    const change = protectionChange(now.item, old, now.value)
    const isLoss = (isNews && change !== null && change < 0) ||
      (now.item === 'cdi_hooks' && isNews)
    if (checked?.verdict !== 'differs' && !isLoss) return null
    return minor.test(now.item) ? shifted(severity, -1) : severity
  },
  nextSteps: [
    'Turn it on again, and read what ran on the GPU meanwhile: `vedette events --kind gpu_call`.',
    'If a job needs it off, say so in the baseline of these nodes.',
  ],
  examples: [...protectionOffExamples.fires, ...protectionOffExamples.quiet],
})
