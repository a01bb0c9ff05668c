/** How far every node has come: the last number taken and stored, per node and boot. */
import type { BatchEnvelope } from '../../proto/batch.ts'

/** One boot of one node. Numbers are those of events; 0 for none. */
export interface Progress {
  node_id: string
  boot_id: string
  /** Last number that was appended, durable or not. Not kept over a restart. */
  appended_seq: number
  /** Last number that is durable: what may be acknowledged. */
  stored_seq: number
  /** Position in the event log of the last durable batch. */
  position: number
  /** Events stored. */
  events: number
  /** Numbers that were left out by the node and that no agent_start explains. */
  missing: number
  /** Wall clock of the newest event, milliseconds since 1970. */
  last_event_ms: number
  /** When the last batch was stored, by the clock of the correlator; 0 when that is not known. */
  received_ms: number
}

/** What is kept of a boot in a snapshot. */
export type StoredProgress = Omit<Progress, 'appended_seq'>

/** The boots of all nodes; beyond `entriesMax` the one that was quiet for the longest leaves. */
export class SequenceTable {
  /** Boots that were forgotten because the table was full. */
  forgotten = 0
  readonly #entriesMax: number
  // In order of the last batch: the first one is the quietest.
  readonly #entries = new Map<string, Progress>()

  constructor(entriesMax: number, stored: readonly StoredProgress[] = []) {
    this.#entriesMax = entriesMax
    for (const one of stored) this.#put({ ...one, appended_seq: one.stored_seq })
  }

  /** The progress of a boot, or undefined when nothing of it is known. */
  of(nodeId: string, bootId: string): Progress | undefined {
    return this.#entries.get(`${nodeId}\0${bootId}`)
  }

  /** All boots, the quietest first. */
  all(): Progress[] {
    return [...this.#entries.values()]
  }

  /** All boots as they may be written down: only what is durable. */
  stored(): StoredProgress[] {
    return this.all().filter((one) => one.stored_seq > 0)
      .map(({ appended_seq: _, ...stored }) => stored)
  }

  /** Notes a batch that was appended but is not durable yet. */
  noteAppended(envelope: BatchEnvelope): void {
    const one = this.#entry(envelope)
    one.appended_seq = Math.max(one.appended_seq, lastSeq(envelope))
  }

  /**
   * Notes a durable batch, in log order; one that was noted before changes nothing.
   *
   * @param explained the batch begins with the first event of a fresh run: what is not there
   *   before it never was
   * @param nowMs clock of the correlator; 0 while an old log is read
   */
  noteStored(
    envelope: BatchEnvelope, position: number, explained: boolean, nowMs: number,
  ): void {
    const one = this.#entry(envelope)
    if (position <= one.position) return
    if (!explained) one.missing += Math.max(0, envelope.first_seq - one.stored_seq - 1)
    one.stored_seq = Math.max(one.stored_seq, lastSeq(envelope))
    one.appended_seq = Math.max(one.appended_seq, one.stored_seq)
    one.position = position
    one.events += envelope.count
    one.received_ms = Math.max(one.received_ms, nowMs)
    one.last_event_ms = Math.max(one.last_event_ms, lastEventMs(envelope))
  }

  #entry(envelope: BatchEnvelope): Progress {
    const { node_id, boot_id } = envelope
    const key = `${node_id}\0${boot_id}`
    const known = this.#entries.get(key)
    if (known !== undefined) {
      this.#entries.delete(key)
      this.#entries.set(key, known)
      return known
    }
    return this.#put({
      node_id, boot_id, appended_seq: 0, stored_seq: 0, position: 0, events: 0, missing: 0,
      last_event_ms: 0, received_ms: 0,
    })
  }

  #put(one: Progress): Progress {
    if (this.#entries.size >= this.#entriesMax) {
      const [quietest] = this.#entries.keys()
      this.#entries.delete(quietest)
      this.forgotten++
    }
    this.#entries.set(`${one.node_id}\0${one.boot_id}`, one)
    return one
  }
}

/** Number of the last event of a batch. */
export function lastSeq(envelope: BatchEnvelope): number {
  return envelope.first_seq + envelope.count - 1
}

/** Wall clock of the newest event of a batch, milliseconds since 1970. */
export function lastEventMs(envelope: BatchEnvelope): number {
  return Number((envelope.last_time + envelope.clock_offset_ns) / 1_000_000n)
}
