/** The sending end of an uplink, as simple as can be, for tests and benches. */
import { Client, credentials, makeClientConstructor } from '@grpc/grpc-js'
import type { ChannelCredentials, ClientDuplexStream, ServiceError } from '@grpc/grpc-js'
import { ingestService } from '../grpc.ts'
import type { IngestMessage, UplinkMessage } from '../grpc.ts'
import { SAMPLE_NODE } from './sample-batches.ts'
import type { SampleNode } from './sample-batches.ts'

type Uplink = ClientDuplexStream<UplinkMessage, IngestMessage>

/** A stream to a correlator and everything that came back on it. */
export class SampleAgent {
  readonly received: IngestMessage[] = []
  /** How the stream ended; null while it is open, or when it ended in order. */
  error: ServiceError | null = null
  ended = false
  readonly #client: Client
  readonly #stream: Uplink
  readonly #waiting = new Set<() => void>()

  constructor(port: number, channel: ChannelCredentials = credentials.createInsecure()) {
    const Ingest = makeClientConstructor(ingestService, 'Ingest')
    const client = new Ingest(`localhost:${port}`, channel)
    this.#client = client
    this.#stream = (client as unknown as { Uplink(): Uplink }).Uplink()
    const changed = () => { for (const wake of this.#waiting) wake() }
    this.#stream.on('data', (message: IngestMessage) => { this.received.push(message); changed() })
    this.#stream.on('error', (error: ServiceError) => { this.error = error; changed() })
    this.#stream.on('end', () => { this.ended = true; changed() })
  }

  /** What the correlator says is stored. */
  get acked(): number {
    return this.received.reduce((seq, { welcome, ack }) =>
      Math.max(seq, welcome?.acked_seq ?? 0, ack?.acked_seq ?? 0), 0)
  }

  get refusals(): string[] {
    return this.received.flatMap(({ refusal }) => refusal === undefined ? [] : [refusal.code])
  }

  /** Says Hello and waits for the answer, whichever it is. */
  async hello(
    node: Partial<SampleNode> & { protocol_version?: number } = {},
  ): Promise<IngestMessage> {
    const { node_id, boot_id } = { ...SAMPLE_NODE, ...node }
    const before = this.received.length
    this.#stream.write({
      hello: { protocol_version: node.protocol_version ?? 1, node_id, boot_id, version: 'test' },
    })
    await this.until(() => this.received.length > before || this.error !== null)
    return this.received[before] ?? {}
  }

  /** False when the stream wants a pause: await `drained`. */
  send(batch: Uint8Array): boolean {
    return this.#stream.write({ batch })
  }

  drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#stream.once('drain', resolve)
      this.#stream.once('close', resolve)
    })
  }

  /** Waits until `condition` holds; checked at every message. Rejects after 20 s. */
  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const check = (): void => {
        if (!condition()) return
        clearTimeout(timer)
        this.#waiting.delete(check)
        resolve()
      }
      const timer = setTimeout(() => {
        this.#waiting.delete(check)
        reject(new Error(`waited in vain; received ${JSON.stringify(this.received.slice(-3))}, `
          + `error ${this.error?.message ?? 'none'}`))
      }, 20_000)
      this.#waiting.add(check)
      check()
    })
  }

  /** Waits until everything up to `seq` is stored. */
  stored(seq: number): Promise<void> {
    return this.until(() => this.acked >= seq)
  }

  close(): void {
    this.#stream.on('error', () => {})
    this.#stream.cancel()
    this.#client.close()
  }
}
