/** What command line and console read: proto/query.proto. */
import { status } from '@grpc/grpc-js'
import type { sendUnaryData, ServerUnaryCall, ServerWritableStream } from '@grpc/grpc-js'
import { messageOf } from '../errors.ts'
import type {
  BatchesRequest, EventsRequest, IncidentsRequest, JsonLines, StoredBatch, StoresRequest,
} from '../grpc.ts'
import { answerBatches, batchesRequestProblem } from './batches.ts'
import { answerEvents, eventsRequestProblem } from './events.ts'
import type { EventsOptions } from './events.ts'
import type { IncidentFeed } from './incidents.ts'
import { readerProblem } from './readers.ts'
import { answerStores } from './stores.ts'
import { statusLines } from '../status.ts'
import type { StatusParts } from '../status.ts'

export interface QueryOptions {
  /** Names in certificates that may read; empty: all. */
  clients: readonly string[]
  events: EventsOptions
  feed: IncidentFeed
  status: StatusParts
}

/** Answers at the same time: each costs memory, and time that ingest needs too. */
const ANSWERS_MAX = 64
const LINES_PER_MESSAGE = 256
const { PERMISSION_DENIED } = status

type Stream<Request, Message = JsonLines> = ServerWritableStream<Request, Message>
type AnyCall = Pick<ServerWritableStream<unknown, unknown>, 'on' | 'emit' | 'end'>
type Known = Pick<ServerWritableStream<unknown, unknown>, 'getAuthContext'>

/** The Query service of one correlator. */
export class Query {
  readonly #options: QueryOptions
  readonly #calls = new Set<AnyCall>()

  constructor(options: QueryOptions) {
    this.#options = options
  }

  /** Answers that are being written or followed. */
  get open(): number { return this.#calls.size }

  /** Who answers what, as `queryService` names it. */
  get handlers() {
    const { events, incidents, batches, status, stores } = this
    const forReaders = <Call extends AnyCall & Known>(answer: (call: Call) => void) =>
      (call: Call): void => {
        const problem = this.#readerProblem(call)
        if (problem === null) answer(call)
        else fail(call, PERMISSION_DENIED, problem)
      }
    return {
      Events: forReaders(events), Incidents: forReaders(incidents), Batches: forReaders(batches),
      Status: status, Stores: forReaders(stores),
    }
  }

  events = (call: Stream<EventsRequest>): void => {
    const problem = eventsRequestProblem(call.request)
    if (problem !== null) return fail(call, status.INVALID_ARGUMENT, problem)
    this.#answer(call, () => answerEvents(call, this.#options.events))
  }

  incidents = (call: Stream<IncidentsRequest>): void => {
    const { incident_id, state } = call.request
    if (!['', 'open', 'closed'].includes(state)) {
      const what = `state is "open", "closed" or empty, not ${JSON.stringify(state.slice(0, 64))}`
      return fail(call, status.INVALID_ARGUMENT, what)
    }
    const found = this.#options.feed.resolve(incident_id)
    if ('problem' in found) {
      const code = found.problem === 'unknown' ? status.NOT_FOUND : status.INVALID_ARGUMENT
      return fail(call, code, found.message)
    }
    this.#answer(call, () => this.#options.feed.answer(call, found.id))
  }

  batches = (call: Stream<BatchesRequest, StoredBatch>): void => {
    const problem = batchesRequestProblem(call.request)
    if (problem !== null) return fail(call, status.INVALID_ARGUMENT, problem)
    this.#answer(call, () => answerBatches(call, this.#options.events.log))
  }

  status = (call: ServerUnaryCall<object, JsonLines>, reply: sendUnaryData<JsonLines>): void => {
    const problem = this.#readerProblem(call)
    if (problem !== null) return reply({ code: PERMISSION_DENIED, details: problem })
    const lines = statusLines(this.#options.status)
    // A message holds 4 MiB by default: some ten thousand boots.
    reply(null, { lines: lines.slice(0, 1 + 40 * LINES_PER_MESSAGE) })
  }

  stores = (call: Stream<StoresRequest>): void => {
    this.#answer(call, () => answerStores(call, this.#options.status.incidents.engine.stores))
  }

  /** Ends all answers. */
  stop(): void {
    for (const call of this.#calls) fail(call, status.UNAVAILABLE, 'the correlator stops')
  }

  #readerProblem(call: Known): string | null {
    const { clients, events: { metrics } } = this.#options
    const problem = readerProblem(clients, call.getAuthContext().sslPeerCertificate)
    if (problem !== null) metrics.readersRefused.inc()
    return problem
  }

  #answer(call: AnyCall, work: () => Promise<void>): void {
    if (this.#calls.size >= ANSWERS_MAX) {
      return fail(call, status.RESOURCE_EXHAUSTED,
        `${ANSWERS_MAX} queries are open already; end one or try again later`)
    }
    this.#calls.add(call)
    const gone = () => void this.#calls.delete(call)
    call.on('close', gone)
    call.on('cancelled', gone)
    call.on('error', gone)
    work().then(() => call.end(), (error: unknown) => fail(call, status.INTERNAL, messageOf(error)))
      .finally(gone)
  }
}

function fail(call: AnyCall, code: status, details: string): void {
  call.emit('error', { code, details })
}
