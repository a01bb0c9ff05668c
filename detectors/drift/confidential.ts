import type { Context } from '../../detect/context.ts'
import type { Severity } from '../../detect/finding.ts'
import type { GpuChange } from '../../detect/gpu/gpu-states.ts'
import { worseOf } from '../../detect/words.ts'
import { protectionChange } from '../../gpu/state/item-classes.ts'
import { confidentialLostExamples } from './confidential.examples.ts'
import { defineDrift } from './drift.ts'
import { shifted } from '../gpu/standing.ts'

/** What confidential computing needs, where the policy requires it. */
const required: ReadonlyMap<string, string> = new Map([
  ['conf_compute_feature', 'hcc'], ['conf_compute_environment', 'production'],
  ['conf_compute_dev_tools_mode', 'off'], ['conf_compute_gpus_caps', 'hcc'],
])
const guests = ['tdx_guest', 'sev_snp_guest']

export default defineDrift({
  id: 'GPU-004',
  title: 'Confidential computing is off, in developer mode, or without a trusted machine',
  severity: 'high',
  attack: ['T1562.001'],
  atlas: [],
  blindSpots: [
    'A node that lies: only evidence that is checked elsewhere shows what its GPU is.',
    'Workloads that began before it was turned off.',
  ],
  runbook: 'Until it is on again, whoever is root on the machine below can read what is on the '
    + 'GPU: model weights, data, prompts. Stop what must stay secret, find who changed it, and let '
    + 'nothing secret start before the evidence of the GPU was checked.',
  of: 'confidential',
  what: 'confidential computing',
  judge(change, { severity }, context) {
    const byPolicy = context.policy.gpus.confidentialComputing
      ? requiredOf(change, context) : null
    if (byPolicy !== null) return severity === null ? byPolicy : worseOf(byPolicy, severity)
    const { now, old, isNews, checked } = change
    if (checked?.verdict === 'differs') return severity
    const isWanted = checked !== null || context.policy.gpus.confidentialComputing
    // Nothing shows any more that it is on.
    if (isNews && isWanted && now.reading === 'unknown' && isStrong(change)) return 'low'
    if (isNews && now.reading === 'not_supported' && isStrong(change)) return 'high'
    const change_ = isNews ? protectionChange(now.item, old, now.value) : null
    if (severity === null || change_ === null || change_ >= 0) return null
    return shifted(severity, 1)
  },
  also: (event, context) => event.kind === 'policy_applied' &&
    context.policy.gpus.confidentialComputing ? context.gpus.everything('confidential') : [],
  nextSteps: [
    'Stop workloads that must stay secret on this node.',
    'Ask the GPU for evidence and verify it: `vedette baseline check --evidence FILE`.',
  ],
  examples: [...confidentialLostExamples.fires, ...confidentialLostExamples.quiet],
})

/** How bad it is where the policy requires confidential computing; null: as it requires. */
function requiredOf({ node_id, now, old, isNews }: GpuChange, context: Context): Severity | null {
  const wanted = required.get(now.item)
  if (wanted !== undefined) {
    if (now.reading === 'unknown' || (now.reading === 'known' && now.value === wanted)) return null
    return isNews && old === wanted ? 'critical' : 'high'
  }
  if (!guests.includes(now.item) || now.value === 'on' || now.reading === 'unknown') return null
  if (isNews && old === 'on') return 'critical'
  // The other technology of the machine may be on, and then this one is none of it.
  const told = guests.map((guest) => context.gpus.item(node_id, 'host', guest))
  return told.every((one) => one !== null && one.reading !== 'unknown' && one.value !== 'on')
    ? 'high' : null
}

function isStrong({ now, old }: GpuChange): boolean {
  return old === 'on' || old === required.get(now.item)
}
