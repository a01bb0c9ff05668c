/** Examples of GPU-015. Evidence of real GPUs is tried in evidence.test.ts. */
import type { Example } from '../../detect/detector.ts'
import { gpu } from '../drift/samples.ts'

const nonce = '5a'.repeat(32)

const fires: Example[] = [
  {
    name: 'what a GPU gave is no report at all',
    events: [{ kind: 'gpu_evidence', at_ms: 0,
      values: { subject: gpu, nonce, report: 'bm8gcmVwb3J0', certificate_chain: '' } }],
    fires: [`The evidence of ${gpu} of node-1 is not what it must be: report:`],
  },
]

const quiet: Example[] = [
  {
    name: 'a GPU that gives no evidence', fires: [],
    events: [{ kind: 'gpu_evidence', at_ms: 0,
      values: { subject: gpu, nonce, reason: 'confidential computing is off' } }],
  },
]

export const evidenceExamples = { fires, quiet }
