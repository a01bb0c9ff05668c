import type { Context } from '../../detect/context.ts'
import { defineDetector } from '../../detect/detector.ts'
import type { GpuStates } from '../../detect/gpu/gpu-states.ts'
import { amount, printable } from '../../detect/words.ts'
import { NVIDIA_ROOTS } from '../../gpu/attestation/certificates.ts'
import type { JudgedItem } from '../../gpu/attestation/verify.ts'
import type { Baseline } from '../../gpu/baseline/baseline.ts'
import { judgeEvidence } from '../../gpu/baseline/evidence.ts'
import type { EventViews } from '../../proto/gen/events.ts'
import { evidenceExamples } from './evidence.examples.ts'

type Event = EventViews['gpu_evidence']

/** Where no baseline says more: NVIDIA's roots, and no versions. */
const unpinned: Baseline = { version: 1, node_class: '', items: [] }
/** What only somebody who makes evidence up gets wrong. */
const forged = new Set(['report', 'signature', 'certificate_chain', 'nonce', 'firmware_id'])

export default defineDetector({
  id: 'GPU-015',
  title: 'The attestation evidence of a GPU is not what it must be',
  severity: 'high',
  maturity: 'experimental',
  attack: ['T1542.001', 'T1195.003'],
  atlas: [],
  blindSpots: [
    'Evidence is only asked for with the agent\'s setting gpu_evidence, when the agent starts.',
    'Measurements are not compared here: `vedette baseline check --evidence` does, with RIM files.',
    'Revoked certificates: nobody is asked for them, and what nobody said is not called good.',
    'Evidence of another, genuine GPU that answers for this one.',
  ],
  runbook: 'A GPU whose evidence does not verify is another one than it says, runs other firmware, '
    + 'or somebody between it and the agent made the evidence up. Let it compute nothing that must '
    + 'be trusted, and ask again with NVIDIA\'s own tool from a node that you trust.',
  needs: ['gpu_evidence'],
  settings: {},
  key: (event) => event.report === '' ? null : event.node_id,
  state: { initial: () => null, keysMax: 2000, idleMs: 600_000 },
  evaluate(event, _state, context) {
    const items = judged(event, context.gpus)
    const differing = items.filter(({ verdict }) => verdict === 'differs')
    if (differing.length > 0) report(event, items, differing, context)
  },
  examples: [...evidenceExamples.fires, ...evidenceExamples.quiet],
})

function judged(event: Event, gpus: GpuStates): JudgedItem[] {
  const baseline = gpus.baselineFor(event.node_id)?.index.baseline ?? unpinned
  const roots = baseline.evidence?.roots ?? [NVIDIA_ROOTS.device_identity]
  return judgeEvidence({
    subject: event.subject, nonce: event.nonce, report: Buffer.from(event.report, 'base64'),
    certificateChain: event.certificate_chain,
  }, { ...baseline, evidence: { roots } }, event.time_ms)
}

function report(
  event: Event, items: readonly JudgedItem[], differing: readonly JudgedItem[], context: Context,
): void {
  const { node_id, subject, time_ms } = event
  const [first] = differing
  const baseline = context.gpus.baselineFor(node_id)
  context.report({
    key: `${subject} ${differing.map(({ item }) => item).join(' ')}`,
    subject: context.gpus.unnamedSubject(node_id, time_ms), nodes: [node_id],
    severity: differing.some(({ item }) => forged.has(item)) ? 'critical' : 'high',
    tell: () => ({
      summary: `The evidence of ${printable(subject)} of ${printable(node_id)} is not what it must `
        + `be: ${first.item}: ${printable(first.detail, 120)}`
        + (differing.length > 1 ? `, and ${amount(differing.length - 1, 'further item')}.` : '.'),
      details: {
        gpu: subject, items: items.map((item) => ({ ...item })),
        baseline: baseline === null ? null : { path: baseline.path, sha256: baseline.sha256 },
      },
      next_steps: [
        'Let the GPU compute nothing that must be trusted until this is explained.',
        `Compare its measurements, too: vedette events --kind gpu_evidence --node ${
          printable(node_id)} -o json, then vedette baseline check --evidence.`,
      ],
    }),
  })
}
