/** Stage 7: takes batches from agents; says what is stored, or why it is not taken. */
import { status } from '@grpc/grpc-js'
import type { ServerDuplexStream } from '@grpc/grpc-js'
import { decodeEnvelope, openBatch } from '../proto/batch.ts'
import type { Batch, BatchEnvelope } from '../proto/batch.ts'
import { LogError } from '../log/errors.ts'
import type { CorrelatorSettings } from './config.ts'
import { messageOf } from './errors.ts'
import { RETRY_MS } from './event-log.ts'
import type { EventLog } from './event-log.ts'
import type { IngestMessage, Refusal, RefusalCode, UplinkMessage } from './grpc.ts'
import type { StoresMessage } from '../stores/rule-message.ts'
import type { Metrics } from './metrics.ts'
import { lastSeq } from './ingest/sequences.ts'
import type { Progress, SequenceTable } from './ingest/sequences.ts'
import { OWN_NODE_ID } from './policy/own-batch.ts'
import { namesOf, refusal, UplinkStream } from './ingest/uplink-stream.ts'

export interface IngestOptions {
  settings: CorrelatorSettings
  log: EventLog
  sequences: SequenceTable
  metrics: Metrics
  report(line: string): void
  /** What agents must know of the stores of the policy in force; undefined: nothing is said. */
  stores(): StoresMessage | undefined
}

/** How long a node waits after "busy". */
const BUSY_MS = 200
const STREAMS_BUSY_MS = 5000
/** A stream that says no Hello within this time is ended. */
const HELLO_MS = 10_000
/** Batches that one node may have waiting beyond what it was told: acks may be on their way. */
const IN_FLIGHT_SLACK = 2

/** All uplinks of one correlator. */
export class Ingest {
  readonly #options: IngestOptions
  readonly #streams = new Set<UplinkStream>()
  readonly #byNode = new Map<string, UplinkStream>()
  #stopped = false

  constructor(options: IngestOptions) {
    this.#options = options
  }

  /** Streams that are open. */
  get streams(): number { return this.#streams.size }

  /** True while this node has a stream. */
  connected(nodeId: string): boolean { return this.#byNode.has(nodeId) }

  /** The Uplink call of proto/ingest.proto. */
  uplink = (call: ServerDuplexStream<UplinkMessage, IngestMessage>): void => {
    const stream = new UplinkStream(call)
    const { settings } = this.#options
    if (this.#stopped || this.#streams.size >= settings.streams_max) {
      this.#refuse(stream, refusal('busy', `${this.#streams.size} streams are open, the limit is `
        + `${settings.streams_max}; raise streams_max or wait`, STREAMS_BUSY_MS))
      return stream.end()
    }
    this.#streams.add(stream)
    const timer = setTimeout(() => {
      stream.fail(status.DEADLINE_EXCEEDED, `no Hello within ${HELLO_MS} ms`)
    }, HELLO_MS)
    call.on('data', (message: UplinkMessage) => {
      clearTimeout(timer)
      this.#take(stream, message)
    })
    const gone = () => {
      clearTimeout(timer)
      this.#streams.delete(stream)
      if (this.#byNode.get(stream.nodeId) === stream) this.#byNode.delete(stream.nodeId)
    }
    call.on('end', () => { gone(); stream.end() })
    call.on('cancelled', gone)
    call.on('close', gone)
    call.on('error', gone)
  }

  /** Tells every node what is durable now. */
  acknowledge(): void {
    for (const stream of this.#streams) {
      const progress = this.#progress(stream)
      if (progress !== undefined) stream.acknowledge(progress.stored_seq)
    }
  }

  /** Tells every node the stores of the policy, which are others now. */
  tellStores(): void {
    for (const stream of this.#byNode.values()) this.#sendStores(stream)
  }

  /** Ends all streams; nodes come back to whoever listens then. */
  stop(): void {
    this.#stopped = true
    for (const stream of this.#streams) {
      stream.fail(status.UNAVAILABLE, 'the correlator stops; connect again')
    }
  }

  #progress(stream: UplinkStream): Progress | undefined {
    return this.#options.sequences.of(stream.nodeId, stream.bootId)
  }

  #take(stream: UplinkStream, message: UplinkMessage): void {
    if (stream.ended) return
    if (message.message === 'hello') return void this.#greet(stream, message.hello!)
    if (message.message !== 'batch') return
    if (stream.nodeId === '') {
      stream.fail(status.FAILED_PRECONDITION, 'the first message must be a Hello')
      return
    }
    this.#options.metrics.batchesReceived.inc()
    const no = this.#takeBatch(stream, message.batch!)
    if (no === null) return
    // What follows a batch that will come again must not overtake it.
    if (no.retry_after_ms > 0) stream.heldBackFrom = no.first_seq
    this.#refuse(stream, no)
  }

  async #greet(stream: UplinkStream, hello: NonNullable<UplinkMessage['hello']>): Promise<void> {
    const { settings, log, report } = this.#options
    const no = this.#refuseHello(stream, hello)
    if (no !== null) {
      report(`ingest: ${stream.peer}: ${no.message}`)
      this.#refuse(stream, no)
      this.#streams.delete(stream)
      return stream.end()
    }
    const other = this.#byNode.get(hello.node_id)
    if (other !== undefined && other !== stream) {
      report(`ingest: ${hello.node_id}: a stream from ${stream.peer} replaces ${other.peer}`)
      this.#options.metrics.streamsReplaced.inc()
      other.fail(status.ABORTED, `replaced by a newer stream of node ${hello.node_id}`)
    }
    stream.nodeId = hello.node_id
    stream.bootId = hello.boot_id
    stream.heldBackFrom = 0
    this.#byNode.set(hello.node_id, stream)
    // What an earlier stream left on its way to the disk must not be sent again for nothing.
    await log.durable()
    const { batches_in_flight_max, batch_bytes_max } = settings
    const acked_seq = this.#progress(stream)?.stored_seq ?? 0
    stream.ackedSeq = acked_seq
    stream.send({ welcome: { acked_seq, batches_in_flight_max, batch_bytes_max } })
    stream.welcomed = true
    this.#sendStores(stream)
  }

  #sendStores(stream: UplinkStream): void {
    const stores = this.#options.stores()
    // Welcome is the first that a node hears; it is told them then.
    if (stores !== undefined && stream.welcomed) stream.send({ stores })
  }

  #refuseHello(
    stream: UplinkStream, hello: NonNullable<UplinkMessage['hello']>,
  ): Refusal | null {
    const { node_id, boot_id, protocol_version } = hello
    if (protocol_version !== 1) {
      return refusal('protocol_version', `protocol version ${protocol_version} is not spoken here, `
        + 'only 1; use the same release on both ends')
    }
    if (!/^[\x21-\x7e]{1,253}$/.test(node_id) || node_id === OWN_NODE_ID) {
      return refusal('wrong_node', `${JSON.stringify(node_id.slice(0, 300))} cannot be the name of `
        + `a node: 1 to 253 ASCII characters without blanks, and not "${OWN_NODE_ID}"`)
    }
    if (!/^[0-9a-f]{32}$/.test(boot_id)) {
      return refusal('malformed_batch', 'Hello: boot_id is not 32 hex digits')
    }
    if (this.#options.settings.tls === undefined) return null
    const names = namesOf(stream.call.getAuthContext().sslPeerCertificate)
    if (names.includes(node_id)) return null
    return refusal('wrong_node', `the certificate speaks for ${names.join(', ') || 'nobody'}, not `
      + `for ${node_id}; give the node a certificate with its name as CN or DNS name`)
  }

  /** Stores or acknowledges a batch, or says why not. */
  #takeBatch(stream: UplinkStream, bytes: Uint8Array): Refusal | null {
    const { settings, log, sequences } = this.#options
    if (bytes.length > settings.batch_bytes_max) {
      return refusal('batch_too_large', `the batch has ${bytes.length} bytes, the limit is `
        + `${settings.batch_bytes_max}; make smaller batches or raise batch_bytes_max`)
    }
    let envelope: BatchEnvelope
    try {
      envelope = decodeEnvelope(bytes)
    } catch (error) {
      return refusal('malformed_batch', messageOf(error))
    }
    const { first_seq } = envelope
    const no = (code: RefusalCode, message: string, retryMs = 0) =>
      refusal(code, message, retryMs, first_seq)
    if (envelope.node_id !== stream.nodeId) {
      return no('wrong_node', `a batch of ${JSON.stringify(envelope.node_id.slice(0, 300))} on the `
        + `stream of ${stream.nodeId}; one stream carries one node`)
    }
    if (envelope.boot_id !== stream.bootId) {
      return no('sequence', `a batch of boot ${envelope.boot_id} on a stream that said `
        + `${stream.bootId}; say Hello for that boot first`)
    }
    if (stream.heldBackFrom > 0 && first_seq > stream.heldBackFrom) return null
    stream.heldBackFrom = 0
    const taken = sequences.of(stream.nodeId, stream.bootId)
    if (taken !== undefined && lastSeq(envelope) <= taken.appended_seq) {
      this.#options.metrics.batchesDuplicate.inc()
      stream.acknowledge(taken.stored_seq, lastSeq(envelope) <= taken.stored_seq)
      return null
    }
    if (taken !== undefined && first_seq <= taken.appended_seq) {
      return no('sequence', `events ${first_seq} to ${lastSeq(envelope)} overlap what is stored up `
        + `to ${taken.appended_seq}; send whole batches as they were first sent`)
    }
    const waiting = this.#refuseWhileFull(stream, envelope)
    if (waiting !== null) return waiting
    let batch: Batch
    try {
      batch = openBatch(envelope)
    } catch (error) {
      return no('malformed_batch', messageOf(error))
    }
    if (batch.columns.policy_applied !== undefined) {
      return no('malformed_batch', 'policy_applied is written by the correlator alone')
    }
    try {
      log.append(bytes, batch)
    } catch (error) {
      if (!(error instanceof LogError)) throw error
      return no('busy', error.message, RETRY_MS)
    }
    sequences.noteAppended(envelope)
    stream.noteSent(lastSeq(envelope))
    return null
  }

  #refuseWhileFull(stream: UplinkStream, envelope: BatchEnvelope): Refusal | null {
    const { settings, log } = this.#options
    const { trouble } = log
    const no = (code: RefusalCode, message: string, retryMs: number) =>
      refusal(code, message, retryMs, envelope.first_seq)
    if (trouble !== null) {
      return no(trouble.code === 'LOG_NO_SPACE' ? 'disk_full' : 'busy', trouble.message, RETRY_MS)
    }
    if (stream.inFlight >= settings.batches_in_flight_max + IN_FLIGHT_SLACK) {
      return no('busy', `${stream.inFlight} batches of ${stream.nodeId} are not acknowledged yet; `
        + `at most ${settings.batches_in_flight_max} may be`, BUSY_MS)
    }
    const bytes = envelope.columns_bytes + envelope.payload.length
    // One batch always fits, however large: else it would be refused for ever.
    const waiting = log.inFlightBytes
    if (waiting === 0 || waiting + bytes <= settings.ingest_bytes_max) return null
    return no('busy', `${waiting} bytes wait for the detectors, the limit is `
      + `${settings.ingest_bytes_max}`, BUSY_MS)
  }

  #refuse(stream: UplinkStream, no: Refusal): void {
    this.#options.metrics.refused.inc({ reason: no.code })
    stream.send({ refusal: no })
  }
}
