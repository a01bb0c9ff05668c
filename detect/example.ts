/** Examples of detectors as real batches, encoded and decoded as on the way through the product. */
import { decodeBatch } from '../proto/batch.ts'
import type { Batch } from '../proto/batch.ts'
import { BatchBuilder } from '../proto/batch-builder.ts'
import type { EventValues } from '../proto/gen/events.ts'
import { policyDigest } from '../policy/digest.ts'
import type { Example, ExampleEvent } from './detector.ts'

/** Where examples start: 2030-01-01 in wall clock time, an hour after the boot of every node. */
const BOOT_WALL_NS = 1_893_456_000_000_000_000n - 3_600_000_000_000n
const START_NS = 3_600_000_000_000n
export const EXAMPLE_BOOT_ID = '0123456789abcdef0123456789abcdef'
/** The node that stands for the correlator, which puts the policy into the log. */
const POLICY_NODE = 'correlator'

/** The events of an example, with its policy as the first one. */
export function eventsOf(example: Pick<Example, 'policy' | 'events'>): ExampleEvent[] {
  if (example.policy === undefined) return [...example.events]
  const text = example.policy
  const applied: ExampleEvent = {
    kind: 'policy_applied', at_ms: 0, node_id: POLICY_NODE,
    values: { text, sha256: policyDigest(text), path: 'vedette.yaml' },
  }
  return [applied, ...example.events]
}

/**
 * Encodes events in their order. A batch holds events of one node, and `eventsMax` at most.
 *
 * @param firstSeq number of the first event of each node
 */
export function encodeEvents(
  events: readonly ExampleEvent[], eventsMax = 8192, firstSeq = 1,
): Buffer[] {
  const nextSeq = new Map<string, number>()
  const facts = { exe: '', cgroup_path: '', workload: '' }
  const builder = new BatchBuilder({ eventsMax, factsOf: () => facts })
  const batches: Buffer[] = []
  let node = ''
  const flush = (): void => {
    if (builder.count === 0) return
    const seq = nextSeq.get(node) ?? firstSeq
    nextSeq.set(node, seq + builder.count)
    batches.push(builder.encode({
      node_id: node, boot_id: EXAMPLE_BOOT_ID, first_seq: seq, clock_offset_ns: BOOT_WALL_NS,
    }))
  }
  for (const event of events) {
    const of = event.node_id ?? 'node-1'
    if (of !== node || builder.full) flush()
    node = of
    const values = event.values as Partial<EventValues[typeof event.kind]>
    const time = START_NS + BigInt(Math.round(event.at_ms * 1e6))
    builder.append(event.kind, values, time, event.process)
  }
  flush()
  return batches
}

/** The events as decoded batches. */
export function batchesOf(events: readonly ExampleEvent[], eventsMax?: number): Batch[] {
  return encodeEvents(events, eventsMax).map((bytes) => decodeBatch(bytes))
}
