/** Asks a correlator, as the command line does; for tests. */
import { credentials, makeClientConstructor } from '@grpc/grpc-js'
import type { Client, ClientReadableStream, ServiceError } from '@grpc/grpc-js'
import { queryService } from '../grpc.ts'
import type {
  BatchesRequest, EventsRequest, IncidentsRequest, JsonLines, StoredBatch,
} from '../grpc.ts'

type Line = Record<string, unknown>
type Stream = ClientReadableStream<JsonLines>
interface Calls {
  Events(request: Partial<EventsRequest>): Stream
  Incidents(request: Partial<IncidentsRequest>): Stream
  Batches(request: Partial<BatchesRequest>): ClientReadableStream<StoredBatch>
  Status(request: object, done: (error: ServiceError | null, answer?: JsonLines) => void): void
}

const Query = makeClientConstructor(queryService, 'Query')

/** One connection to the query service. */
export class QueryClient {
  readonly #client: Client
  readonly #calls: Calls

  constructor(port: number, channel = credentials.createInsecure()) {
    this.#client = new Query(`localhost:${port}`, channel)
    this.#calls = this.#client as unknown as Calls
  }

  events(request: Partial<EventsRequest> = {}): Answer {
    return new Answer(this.#calls.Events(request))
  }

  incidents(request: Partial<IncidentsRequest> = {}): Answer {
    return new Answer(this.#calls.Incidents(request))
  }

  /** All batches of the answer. */
  async batches(request: Partial<BatchesRequest> = {}): Promise<StoredBatch[]> {
    const batches: StoredBatch[] = []
    for await (const batch of this.#calls.Batches(request)) batches.push(batch as StoredBatch)
    return batches
  }

  status(): Promise<Line[]> {
    return new Promise((resolve, reject) => this.#calls.Status({}, (error, answer) =>
      error === null ? resolve(answer!.lines.map(parse)) : reject(error)))
  }

  close(): void { this.#client.close() }
}

/** Lines as they come. */
export class Answer {
  readonly lines: Line[] = []
  error: ServiceError | null = null
  readonly stream: Stream
  #ended = false
  readonly #waiting = new Set<() => void>()

  constructor(stream: Stream) {
    this.stream = stream
    const changed = () => { for (const check of this.#waiting) check() }
    stream.on('data', ({ lines }: JsonLines) => { this.lines.push(...lines.map(parse)); changed() })
    stream.on('error', (error: ServiceError) => {
      this.error = error
      this.#ended = true
      changed()
    })
    stream.on('end', () => { this.#ended = true; changed() })
  }

  /** Waits for the end and gives all lines; throws the error of the call. */
  async all(): Promise<Line[]> {
    await this.until(() => this.#ended)
    if (this.error !== null) throw this.error
    return this.lines
  }

  /** Waits until `condition` holds. Rejects after 20 s. */
  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(check)
        reject(new Error(`waited in vain; ${this.lines.length} lines came`))
      }, 20_000)
      const check = (): void => {
        if (!condition()) return
        clearTimeout(timer)
        this.#waiting.delete(check)
        resolve()
      }
      this.#waiting.add(check)
      check()
    })
  }

  cancel(): void { this.stream.cancel() }
}

function parse(line: string): Line {
  return JSON.parse(line) as Line
}
