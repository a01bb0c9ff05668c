// The other end of the uplink for tests: a real gRPC server that stores batches in memory by the
// rules of proto/ingest.proto, and can be told to misbehave.

import { Server, ServerCredentials, status } from '@grpc/grpc-js'
import type { ServerDuplexStream } from '@grpc/grpc-js'
import { decodeBatch } from '../../proto/batch.ts'
import { codec } from '../../proto/messages.ts'
import type { StoresMessage } from '../../stores/rule-message.ts'
import type { IngestMessage, Refusal, UplinkMessage } from '../uplink/messages.ts'

type Call = ServerDuplexStream<UplinkMessage, IngestMessage>

/** What a stub does with a batch instead of storing it; undefined to store it. */
export type Verdict = { refuse: Refusal } | 'ignore' | 'hang_up' | undefined

export interface StubOptions {
  /** Default: chosen by the system. */
  port?: number
  /** Default: not encrypted. */
  credentials?: ServerCredentials
  batchesInFlightMax?: number
  batchBytesMax?: number
  judge?(firstSeq: number, bytes: Uint8Array): Verdict
  judgeHello?(nodeId: string, bootId: string): Refusal | undefined
  /** Stored batches of an earlier stub, to go on with. */
  stored?: Map<string, Buffer[]>
  /** Told after every Welcome. */
  stores?: StoresMessage
}

/** A running stub. */
export class IngestStub {
  readonly #options: StubOptions
  readonly #server = new Server({ 'grpc.max_receive_message_length': 16 * 1024 * 1024 })
  readonly #acked = new Map<string, number>()
  #stopped = false
  /** Batches stored, by `node_id boot_id`. */
  readonly stored: Map<string, Buffer[]>
  /** Identities of the Hellos. */
  readonly hellos: string[] = []
  /** Most batches that were on the way at once. */
  inFlightMax = 0
  duplicates = 0
  /** Duplicates that were not the same bytes: numbers that were given twice. */
  conflicts = 0
  port = 0

  constructor(options: StubOptions = {}) {
    this.#options = options
    this.stored = options.stored ?? new Map()
    for (const [key, frames] of this.stored) {
      const { first_seq: first, count } = decodeBatch(frames.at(-1)!).envelope
      this.#acked.set(key, first + count - 1)
    }
    const requests = codec<UplinkMessage>('UplinkMessage')
    const responses = codec<IngestMessage>('IngestMessage')
    this.#server.addService({
      Uplink: {
        path: '/vedette.Ingest/Uplink', requestStream: true, responseStream: true,
        requestSerialize: requests.encode, requestDeserialize: requests.decode,
        responseSerialize: responses.encode, responseDeserialize: responses.decode,
      },
    }, { Uplink: (call: Call) => this.#serve(call) })
  }

  async start(): Promise<this> {
    this.port = await new Promise<number>((resolve, reject) => this.#server.bindAsync(
      `127.0.0.1:${this.#options.port ?? 0}`,
      this.#options.credentials ?? ServerCredentials.createInsecure(),
      (error, port) => error ? reject(error) : resolve(port)))
    return this
  }

  /** Cuts every stream, as a killed correlator does. */
  stop(): void {
    this.#stopped = true
    this.#server.forceShutdown()
  }

  /** Every frame stored of one identity, or of all. */
  frames(key?: string): Buffer[] {
    return key === undefined ? [...this.stored.values()].flat() : this.stored.get(key) ?? []
  }

  #serve(call: Call): void {
    let key = ''
    let held = 0
    const waiting: number[] = []
    call.on('error', () => {})
    call.on('end', () => call.end())
    call.on('data', (message: UplinkMessage) => {
      if (message.hello) {
        key = `${message.hello.node_id} ${message.hello.boot_id}`
        this.hellos.push(key)
        const no = this.#options.judgeHello?.(message.hello.node_id, message.hello.boot_id)
        if (no) return void call.write({ refusal: no })
        call.write({ welcome: {
          acked_seq: this.#acked.get(key) ?? 0,
          batches_in_flight_max: this.#options.batchesInFlightMax ?? 16,
          batch_bytes_max: this.#options.batchBytesMax ?? 4 * 1024 * 1024,
        } })
        if (this.#options.stores) call.write({ stores: this.#options.stores })
        return
      }
      const bytes = Buffer.from(message.batch!)
      const { envelope } = decodeBatch(bytes)
      if (`${envelope.node_id} ${envelope.boot_id}` !== key) throw new Error(`not of ${key}`)
      const { first_seq: first, count } = envelope
      if (held > 0 && first > held) return
      held = 0
      const verdict = this.#options.judge?.(first, bytes)
      if (verdict === 'ignore') return
      if (verdict === 'hang_up') {
        return void call.emit('error', { code: status.ABORTED, details: 'hung up' })
      }
      if (verdict) {
        if (verdict.refuse.retry_after_ms > 0) held = first
        return void call.write({ refusal: verdict.refuse })
      }
      waiting.push(first)
      this.inFlightMax = Math.max(this.inFlightMax, waiting.length)
      // As after a sync: later, and for many at once.
      setTimeout(() => {
        if (this.#stopped) return
        waiting.splice(waiting.indexOf(first), 1)
        this.#store(key, first, first + count - 1, bytes)
        call.write({ ack: { acked_seq: this.#acked.get(key)! } })
      }, 2)
    })
  }

  #store(key: string, first: number, last: number, bytes: Buffer): void {
    const acked = this.#acked.get(key) ?? 0
    if (last <= acked) {
      this.duplicates++
      if (!this.frames(key).some((frame) => frame.equals(bytes))) this.conflicts++
      return
    }
    if (first <= acked) this.conflicts++
    const frames = this.stored.get(key) ?? []
    frames.push(bytes)
    this.stored.set(key, frames)
    this.#acked.set(key, last)
  }
}
