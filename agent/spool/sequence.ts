// Which number the next event gets. Numbers of a node and boot are never given twice to events
// that anybody has seen: only durable frames are sent, and the last durable one is found again.

import type { BatchEnvelope } from '../../proto/batch.ts'

/**
 * The number after the last batch of the spool. A spool that knows another boot only is in a fresh
 * boot: 1. A spool that knows nothing may be new in the middle of a boot in which numbers were
 * used: microseconds since boot are ahead of all of them, as no node makes an event each. Pure.
 */
export function sequenceAfter(
  last: Pick<BatchEnvelope, 'boot_id' | 'first_seq' | 'count'> | undefined,
  bootId: string, sinceBootNs: bigint,
): number {
  if (last === undefined) return Math.max(1, Number(sinceBootNs / 1000n))
  return last.boot_id === bootId ? last.first_seq + last.count : 1
}
