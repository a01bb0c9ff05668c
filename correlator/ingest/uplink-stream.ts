/** One agent's stream: what was said on it, and how it is answered. */
import type { PeerCertificate } from 'node:tls'
import type { ServerDuplexStream, status } from '@grpc/grpc-js'
import type { IngestMessage, Refusal, RefusalCode, UplinkMessage } from '../grpc.ts'

type Call = ServerDuplexStream<UplinkMessage, IngestMessage>

/** State of one Uplink call. */
export class UplinkStream {
  readonly call: Call
  readonly peer: string
  /** Node and boot of the last Hello; empty before it. */
  nodeId = ''
  bootId = ''
  /** First number of a batch that will come again: what is behind it is not taken; 0 for none. */
  heldBackFrom = 0
  /** What was told last. */
  ackedSeq = 0
  ended = false
  /** Its Hello was answered. */
  welcomed = false
  // Last numbers of the batches that were taken and not acknowledged.
  #unacked: number[] = []
  #wantedSeq = 0
  #wantsAck = false
  #draining = false

  constructor(call: Call) {
    this.call = call
    this.peer = call.getPeer()
  }

  /** Batches that were taken and not acknowledged. */
  get inFlight(): number { return this.#unacked.length }

  noteSent(lastSeq: number): void {
    this.#unacked.push(lastSeq)
  }

  /**
   * Tells the node what is stored; once for many when it reads slowly.
   *
   * @param again also when it was told before
   */
  acknowledge(seq: number, again = false): void {
    if (seq <= this.ackedSeq && !again) return
    while (this.#unacked.length > 0 && this.#unacked[0] <= seq) this.#unacked.shift()
    this.#wantedSeq = seq
    this.#wantsAck = true
    if (!this.#draining) this.#sendAck()
  }

  send(message: IngestMessage): void {
    if (this.ended) return
    if (this.call.write(message) || this.#draining) return
    this.#draining = true
    // A node that sends and never reads must not fill our memory: until then it is not read either.
    this.call.pause()
    this.call.once('drain', () => {
      this.#draining = false
      this.call.resume()
      if (this.#wantsAck) this.#sendAck()
    })
  }

  /** Ends the call in order. */
  end(): void {
    if (this.ended) return
    this.ended = true
    this.call.end()
  }

  /** Ends the call with a status of gRPC. */
  fail(code: status, details: string): void {
    if (this.ended) return
    this.ended = true
    this.call.emit('error', { code, details })
  }

  #sendAck(): void {
    this.#wantsAck = false
    this.ackedSeq = Math.max(this.ackedSeq, this.#wantedSeq)
    this.send({ ack: { acked_seq: this.#wantedSeq } })
  }
}

/** A refusal. `retryMs` 0: never without a change. `firstSeq` 0: the stream is meant. */
export function refusal(code: RefusalCode, message: string, retryMs = 0, firstSeq = 0): Refusal {
  return { code, message, retry_after_ms: retryMs, first_seq: firstSeq }
}

/** Whom a client certificate may speak for: its CN and its DNS names. */
export function namesOf(certificate: PeerCertificate | undefined): string[] {
  if (certificate === undefined) return []
  const dns = (certificate.subjectaltname ?? '').split(', ')
    .filter((name) => name.startsWith('DNS:')).map((name) => name.slice(4))
  const common: unknown = certificate.subject?.CN
  return [...new Set([...(typeof common === 'string' ? [common] : []), ...dns])]
}
