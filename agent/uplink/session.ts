// One stream to the correlator: Hello, Welcome, then batches of one node and boot, and their acks.

import type { StatusObject } from '@grpc/grpc-js'
import { LogError } from '../../log/errors.ts'
import type { LogProblem } from '../../log/errors.ts'
import type { BatchEnvelope } from '../../proto/batch.ts'
import type { StoresMessage } from '../../stores/rule-message.ts'
import type { Spool } from '../spool.ts'
import { envelopeOf } from '../spool/store.ts'
import { Losses } from './losses.ts'
import type { IngestMessage, Refusal, UplinkCall } from './messages.ts'

/** How a stream ended, and what to do next. */
export type Outcome =
  /** The other end or the network ended it. */
  | { kind: 'ended', reason: string }
  /** The correlator took batches but did not acknowledge them, or said nothing at all. */
  | { kind: 'silent', reason: string }
  /** The stream as such was refused; `retryMs` 0 for never without a change. */
  | { kind: 'refused', refusal: Refusal }
  /** What comes next in the spool is of another node or boot, and needs a stream of its own. */
  | { kind: 'switch' }
  /** We ended it. */
  | { kind: 'stopped' }

/** What outlives a stream. */
export interface UplinkMemory {
  /** Highest number acknowledged, and highest number sent, of this agent's node and boot. */
  ackedSeq: number
  sentSeq: number
  /** Positions of batches that are never taken: they are left out. */
  readonly refused: Set<number>
}

export interface SessionOptions {
  call: UplinkCall
  spool: Spool
  version: string
  nodeId: string
  bootId: string
  memory: UplinkMemory
  losses: Losses
  /** Told when the correlator has answered. */
  onWelcome(): void
  onStores(message: StoresMessage): void
}

interface Sent {
  position: number
  lastSeq: number
  bytes: number
  /** Absent when the frame was given up. */
  envelope?: BatchEnvelope
  /** Acknowledged, or given up. */
  done: boolean
}

const protocolVersion = 1
/** Our own bound, whatever the correlator allows. */
const inFlightMax = 64
const inFlightBytesMax = 8 * 1024 * 1024
const answerTimeoutMs = 30_000

/** Sends what the spool holds until the stream ends. */
export class Session {
  readonly #options: SessionOptions
  readonly #end: (outcome: Outcome) => void
  #welcome: NonNullable<IngestMessage['welcome']> | undefined
  #sent: Sent[] = []
  #sentBytes = 0
  /** Position to read from. */
  #cursor = 0
  #expectedSeq = 0
  #ended = false
  #switching = false
  #paused: NodeJS.Timeout | undefined
  #watchdog: NodeJS.Timeout | undefined
  /** Resolves when the stream has ended. Never rejects. */
  readonly done: Promise<Outcome>

  constructor(options: SessionOptions) {
    this.#options = options
    const { promise, resolve } = Promise.withResolvers<Outcome>()
    this.done = promise
    this.#end = resolve
    const { call, nodeId, bootId, version } = options
    call.on('data', (message: IngestMessage) => this.#take(message))
    call.on('error', (error: Error & Partial<StatusObject>) => {
      this.stop({ kind: 'ended', reason: reasonOf(error.details || error.message) })
    })
    call.on('end', () => this.stop({ kind: 'ended', reason: 'the correlator ended the stream' }))
    this.#watch()
    const hello = { protocol_version: protocolVersion, node_id: nodeId, boot_id: bootId, version }
    call.write({ hello })
  }

  /** Batches on the way. */
  get inFlight(): number { return this.#sent.filter(({ done }) => !done).length }
  /** The correlator has answered. */
  get welcomed(): boolean { return this.#welcome !== undefined }

  /** Ends the stream. */
  stop(outcome: Outcome = { kind: 'stopped' }): void {
    if (this.#ended) return
    this.#ended = true
    clearTimeout(this.#paused)
    clearTimeout(this.#watchdog)
    this.#options.call.end()
    // Also when the other end keeps its half open.
    this.#options.call.cancel()
    this.#end(outcome)
  }

  /** Sends what there is to send and the limits allow. Call it when the spool has grown. */
  pump(): void {
    if (this.#ended || this.#welcome === undefined) return
    try {
      if (!this.#paused && !this.#switching) this.#sendWaiting()
    } catch (error) {
      if (!(error instanceof LogError)) throw error
      return this.stop({ kind: 'ended', reason: error.message })
    }
    this.#settle()
  }

  #sendWaiting(): void {
    const { store } = this.#options.spool
    if (this.#cursor > store.synced || !this.#hasRoom()) return
    const problems: LogProblem[] = []
    for (const { position, payload } of store.read(this.#cursor, (one) => problems.push(one))) {
      if (!this.#takeFrame(position, payload, problems)) return
      this.#cursor = position + 1
      if (!this.#hasRoom()) return
    }
  }

  #hasRoom(): boolean {
    const allowed = Math.max(1, this.#welcome!.batches_in_flight_max)
    return this.inFlight < Math.min(inFlightMax, allowed) && this.#sentBytes < inFlightBytesMax
  }

  /** False when the stream cannot go on with this frame. */
  #takeFrame(position: number, payload: Buffer, problems: LogProblem[]): boolean {
    const { nodeId, bootId, memory, losses } = this.#options
    const envelope = envelopeOf(payload)
    if (envelope === undefined) {
      losses.noteUnknown('SPOOL_DAMAGED', `the frame at position ${position} is no batch`)
      return this.#giveUp(position, payload.length)
    }
    if (envelope.node_id !== nodeId || envelope.boot_id !== bootId) {
      this.#switching = true
      return false
    }
    if (problems.length > 0) {
      losses.noteMissing(this.#expectedSeq, envelope, problems.splice(0)[0].what)
    }
    const lastSeq = envelope.first_seq + envelope.count - 1
    this.#expectedSeq = lastSeq + 1
    const { acked_seq: ackedSeq, batch_bytes_max: bytesMax } = this.#welcome!
    if (memory.refused.has(position)) return this.#giveUp(position, payload.length)
    if (lastSeq <= ackedSeq) {
      if (losses.isOfThisRun(envelope) && lastSeq > memory.sentSeq) {
        losses.noteBatch(envelope, 'its numbers were used before: the spool had lost its end')
      }
      return this.#giveUp(position, payload.length)
    }
    if (bytesMax > 0 && payload.length > bytesMax) {
      losses.noteBatch(envelope, `a batch of ${payload.length} bytes is more than ${bytesMax}`)
      return this.#giveUp(position, payload.length)
    }
    this.#options.call.write({ batch: payload })
    this.#sent.push({ position, lastSeq, bytes: payload.length, envelope, done: false })
    this.#sentBytes += payload.length
    if (losses.isOfThisBoot(envelope)) memory.sentSeq = Math.max(memory.sentSeq, lastSeq)
    if (!this.#watchdog) this.#watch()
    return true
  }

  /** The frame needs no answer. */
  #giveUp(position: number, bytes: number): boolean {
    this.#sent.push({ position, lastSeq: 0, bytes, done: true })
    return true
  }

  #take(message: IngestMessage): void {
    if (this.#ended) return
    if (message.welcome) this.#begin(message.welcome)
    else if (message.ack) this.#acknowledge(message.ack.acked_seq)
    else if (message.refusal) this.#refuse(message.refusal)
    else if (message.stores) this.#options.onStores(message.stores)
    this.pump()
  }

  #begin(welcome: NonNullable<IngestMessage['welcome']>): void {
    const { spool, memory, losses, nodeId, bootId } = this.#options
    this.#welcome = welcome
    this.#options.onWelcome()
    this.#watch()
    if (nodeId !== spool.nodeId || bootId !== spool.bootId) return
    losses.noteForgotten(welcome.acked_seq, memory.ackedSeq)
    memory.ackedSeq = welcome.acked_seq
    spool.skipTo(welcome.acked_seq)
  }

  #acknowledge(ackedSeq: number): void {
    for (const sent of this.#sent) {
      if (!sent.done && sent.lastSeq <= ackedSeq) this.#finish(sent)
    }
    this.#watch()
  }

  #finish(sent: Sent): void {
    sent.done = true
    this.#sentBytes -= sent.bytes
    const { memory, losses } = this.#options
    if (losses.isOfThisBoot(sent.envelope!)) {
      memory.ackedSeq = Math.max(memory.ackedSeq, sent.lastSeq)
    }
  }

  /** Frames leave the spool in order: those at the front that are done. */
  #settle(): void {
    let frames = 0
    let bytes = 0
    while (this.#sent[frames]?.done) bytes += this.#sent[frames++].bytes
    if (frames > 0) {
      const { position } = this.#sent[frames - 1]
      const { memory, spool } = this.#options
      for (const one of this.#sent.splice(0, frames)) memory.refused.delete(one.position)
      spool.store.acknowledge(position, frames, bytes)
    }
    if (this.#sent.length === 0) {
      if (this.#switching) return this.stop({ kind: 'switch' })
      clearTimeout(this.#watchdog)
      this.#watchdog = undefined
    }
  }

  #refuse(refusal: Refusal): void {
    const open = this.#sent.filter(({ done }) => !done)
    const about = refusal.first_seq > 0
      ? open.find(({ envelope }) => envelope!.first_seq === refusal.first_seq)
      : open.length === 1 ? open[0] : undefined
    if (about && refusal.retry_after_ms > 0) return this.#sendAgain(about, refusal.retry_after_ms)
    const never = isAboutBatch(refusal.code)
    if (about && never) {
      this.#options.losses.noteBatch(about.envelope!, `${refusal.code}: ${refusal.message}`)
      this.#options.memory.refused.add(about.position)
      about.done = true
      this.#sentBytes -= about.bytes
      return
    }
    if (never && open.length > 1) {
      const [first, last] = [open[0].envelope!.first_seq, open.at(-1)!.lastSeq]
      this.#options.losses.noteUnknown('UPLINK_BATCH_REFUSED', 'the correlator refused a batch ' +
        `(${refusal.code}) without saying which of events ${first} to ${last} it held`)
    }
    this.stop({ kind: 'refused', refusal })
  }

  /** From this batch on; what was sent after it was not taken either. */
  #sendAgain(from: Sent, afterMs: number): void {
    const index = this.#sent.indexOf(from)
    for (const sent of this.#sent.splice(index)) if (!sent.done) this.#sentBytes -= sent.bytes
    this.#cursor = from.position
    this.#expectedSeq = from.envelope!.first_seq
    clearTimeout(this.#paused)
    this.#paused = setTimeout(() => {
      this.#paused = undefined
      this.pump()
    }, Math.min(afterMs, retryMsMax))
    this.#watch()
  }

  /** Begins to wait for an answer anew. */
  #watch(): void {
    clearTimeout(this.#watchdog)
    const what = this.#welcome ? 'no batch was acknowledged' : 'no Welcome came'
    this.#watchdog = setTimeout(() => {
      this.stop({ kind: 'silent', reason: `${what} within ${answerTimeoutMs / 1000} s` })
    }, answerTimeoutMs)
  }
}

/** Without the words that gRPC puts around what the kernel said. */
function reasonOf(details: string): string {
  return details.replace(/^No connection established\. Last error: (Error: )?/, '')
    .replace(/[. ]*Resolution note:[. ]*$/, '')
}

/** Refusals that speak of one batch, which will never be taken. */
export function isAboutBatch(code: string): boolean {
  return ['malformed_batch', 'batch_too_large', 'sequence'].includes(code)
}

/** However long the correlator asks to wait. */
const retryMsMax = 60_000
