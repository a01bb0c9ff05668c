import { isProtective, protectionChange } from '../../gpu/state/item-classes.ts'
import { defineDrift } from './drift.ts'
import { hostTrustExamples } from './host.examples.ts'
import { shifted } from '../gpu/standing.ts'

export default defineDrift({
  id: 'GPU-006',
  title: 'The kernel of a GPU node can be trusted less: Secure Boot, lockdown, IMA, TPM, TEE',
  severity: 'high',
  attack: ['T1553.006', 'T1562.009', 'T1014'],
  atlas: [],
  blindSpots: [
    'A boot chain that tells what it is expected to tell: the TPM\'s registers are read by the '
      + 'node itself, and nobody asks for a quote.',
    'What a kernel does that was never locked down, where no baseline wants it.',
  ],
  runbook: 'With it, modules without a signature and changes of kernel memory are refused; without '
    + 'it, all that this node says may be made up. Find out whether the firmware settings or the '
    + 'command line of the kernel were changed, and by whom; reinstall the node if nobody knows.',
  of: 'host',
  what: 'trust in the kernel',
  judge({ now, old, isNews, checked }, { severity }) {
    if (checked?.verdict === 'differs') return severity
    if (checked?.verdict === 'matches' || !isNews || old === '') return null
    const wasStrong = isProtective(now.item, old)
    if (now.reading === 'unknown') return checked !== null && wasStrong ? 'low' : null
    if (now.reading === 'not_supported') return wasStrong ? 'medium' : null
    const change = protectionChange(now.item, old, now.value)
    const isLoss = change === null ? now.item === 'ima_policy_sha256' : change < 0
    if (severity === null || !isLoss) return null
    return change === null ? severity : shifted(severity, 1)
  },
  nextSteps: [
    'Compare the boot entry, the kernel command line and the settings of the firmware with '
      + 'another node.',
    'Until it is explained, let the node run nothing that must be trusted.',
  ],
  examples: [...hostTrustExamples.fires, ...hostTrustExamples.quiet],
})
