// What the uplink cannot deliver becomes losses of the spool, which tells them as gap events.

import type { BatchEnvelope } from '../../proto/batch.ts'
import { kindInfos } from '../../proto/gen/events.ts'
import type { Clock } from '../clock.ts'
import type { AgentErrorCode } from '../errors.ts'
import { AgentError } from '../errors.ts'
import type { Spool } from '../spool.ts'

const kindOfNumber = new Map(kindInfos.map(({ kind, number }) => [number, kind as string]))

/** Turns undeliverable batches into gap events, and says so once to the operator. */
export class Losses {
  readonly #spool: Spool
  readonly #clock: Clock
  readonly #complain: (error: AgentError) => void
  /** Events that were stored here and will never be delivered. */
  events = 0

  constructor(spool: Spool, clock: Clock, complain: (error: AgentError) => void) {
    this.#spool = spool
    this.#clock = clock
    this.#complain = complain
  }

  isOfThisBoot({ node_id, boot_id }: BatchEnvelope): boolean {
    return node_id === this.#spool.nodeId && boot_id === this.#spool.bootId
  }

  isOfThisRun(envelope: BatchEnvelope): boolean {
    return this.isOfThisBoot(envelope) && envelope.first_seq >= this.#spool.firstSeq
  }

  /** A whole batch that the correlator will never take. */
  noteBatch(envelope: BatchEnvelope, reason: string): void {
    for (const [index, kind] of envelope.kinds.entries()) {
      this.#note(kindOfNumber.get(kind) ?? 'unknown', envelope.kind_counts[index], reason, envelope)
    }
    const { first_seq: first, count } = envelope
    const range = `events ${first} to ${first + count - 1}`
    this.#say('UPLINK_BATCH_REFUSED', `${range} cannot be delivered: ${reason}`)
  }

  /** Frames before `envelope` cannot be read. */
  noteMissing(expectedSeq: number, envelope: BatchEnvelope, what: string): void {
    const missing = expectedSeq > 0 ? envelope.first_seq - expectedSeq : 0
    if (missing > 0) this.#note('unknown', missing, `the spool is damaged: ${what}`, envelope)
    this.#say('SPOOL_DAMAGED', `events before ${envelope.first_seq} cannot be read: ${what}`)
  }

  /** A batch of which nobody knows what it held: at least one event. */
  noteUnknown(code: AgentErrorCode, what: string): void {
    this.#note('unknown', 1, `${what}; at least one event`)
    this.#say(code, what)
  }

  /** The correlator has less than it once acknowledged; the spool no longer holds it. */
  noteForgotten(ackedSeq: number, ackedBefore: number): void {
    if (ackedBefore <= ackedSeq) return
    // A correlator that knows nothing cannot tell where the numbers began: at least these.
    const from = ackedSeq > 0 ? ackedSeq : Math.min(ackedBefore, this.#spool.firstSeq) - 1
    const reason = `the correlator forgot events ${from + 1} to ${ackedBefore}`
    this.#note('unknown', ackedBefore - from, reason)
    this.#say('UPLINK_BATCH_REFUSED', reason)
  }

  #note(kind: string, count: number, reason: string, during?: BatchEnvelope): void {
    const { bootNs } = this.#clock.now()
    const near = during && this.isOfThisBoot(during) ? during : undefined
    this.events += count
    this.#spool.noteLoss({
      event_kind: kind, stage: 'uplink', count, reason: reason.slice(0, 300),
      from_time: near?.first_time ?? 0n, to_time: near?.last_time ?? bootNs,
    })
  }

  #say(code: AgentErrorCode, what: string): void {
    this.#complain(new AgentError(code, what.slice(0, 500)))
  }
}
