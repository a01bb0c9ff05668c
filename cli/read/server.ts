/** Reads from a correlator: the query API of proto/query.proto. */
import { readFileSync } from 'node:fs'
import { credentials, makeGenericClientConstructor, status } from '@grpc/grpc-js'
import type { ChannelCredentials, Client, ClientReadableStream, ServiceError } from '@grpc/grpc-js'
import { queryService } from '../../correlator/grpc.ts'
import type {
  BatchesRequest, EventsRequest, IncidentsRequest, JsonLines, StoredBatch, StoresRequest,
} from '../../correlator/grpc.ts'
import { CliError } from '../errors.ts'
import type { Values } from '../settings.ts'

/** Settings that say where and how to read. */
export type ServerSettings = Pick<Values, 'server' | 'tls_ca' | 'tls_cert' | 'tls_key'>

interface QueryClient extends Client {
  Events(request: EventsRequest): ClientReadableStream<JsonLines>
  Incidents(request: IncidentsRequest): ClientReadableStream<JsonLines>
  Batches(request: BatchesRequest): ClientReadableStream<StoredBatch>
  Stores(request: StoresRequest): ClientReadableStream<JsonLines>
}

const Query = makeGenericClientConstructor(queryService, 'Query')

/** A connection to the query API of one correlator. */
export class QueryServer {
  readonly #address: string
  readonly #client: QueryClient
  readonly #signal: AbortSignal | undefined

  /** @param signal ends the streams, which is then no error */
  constructor(settings: ServerSettings, signal?: AbortSignal) {
    this.#address = settings.server ?? '127.0.0.1:7411'
    if (!/^(\[[0-9a-fA-F:.]+\]|[^\s:[\]]+):\d{1,5}$/.test(this.#address)) {
      throw new CliError('CLI_USAGE', `--server is ${JSON.stringify(this.#address)}; ` +
        'it must be host:port, such as 127.0.0.1:7411')
    }
    this.#signal = signal
    this.#client = new Query(this.#address, credentialsOf(settings), {
      // A page of JSON lines may be larger than the 4 MiB that gRPC takes by default.
      'grpc.max_receive_message_length': 64 * 1024 * 1024,
      'grpc.enable_retries': 0,
    }) as unknown as QueryClient
  }

  /** Events as JSON lines, in pages. Throws CliError CLI_UNREACHABLE or CLI_REFUSED. */
  events(request: Partial<EventsRequest>): AsyncGenerator<string[], void, undefined> {
    return this.#pages(this.#client.Events({
      from_ms: 0, to_ms: 0, kinds: [], node_ids: [], follow: false, limit: 0, ...request,
    }))
  }

  /** Incidents as JSON lines, in pages. Throws CliError CLI_UNREACHABLE or CLI_REFUSED. */
  incidents(request: Partial<IncidentsRequest>): AsyncGenerator<string[], void, undefined> {
    return this.#pages(this.#client.Incidents({
      incident_id: '', state: '', follow: false, ...request,
    }))
  }

  /** Batches of the log as they are stored. Throws CliError CLI_UNREACHABLE or CLI_REFUSED. */
  batches(request: Partial<BatchesRequest>): AsyncGenerator<StoredBatch, void, undefined> {
    return this.#messages(this.#client.Batches({
      from_ms: 0, to_ms: 0, kinds_before: [], events: [], ...request,
    }))
  }

  /** What is usual of stores as JSON lines. Throws CliError CLI_UNREACHABLE or CLI_REFUSED. */
  stores(request: Partial<StoresRequest>): AsyncGenerator<string[], void, undefined> {
    return this.#pages(this.#client.Stores({ from_ms: 0, stores: [], ...request }))
  }

  close(): void {
    this.#client.close()
  }

  async* #pages(
    stream: ClientReadableStream<JsonLines>,
  ): AsyncGenerator<string[], void, undefined> {
    for await (const { lines } of this.#messages(stream)) yield lines
  }

  async* #messages<Message>(
    stream: ClientReadableStream<Message>,
  ): AsyncGenerator<Message, void, undefined> {
    const cancel = (): void => stream.cancel()
    if (this.#signal?.aborted) cancel()
    this.#signal?.addEventListener('abort', cancel, { once: true })
    try {
      for await (const message of stream) yield message as Message
    } catch (error) {
      if (this.#signal?.aborted) return
      throw this.#errorOf(error as ServiceError)
    } finally {
      this.#signal?.removeEventListener('abort', cancel)
      stream.cancel()
    }
  }

  #errorOf(error: ServiceError): unknown {
    if (typeof error.code !== 'number') return error
    const said = error.details || error.message
    if (error.code === status.UNAVAILABLE || error.code === status.DEADLINE_EXCEEDED) {
      const what = `no correlator answers at ${this.#address} (${firstSentence(said)})`
      return new CliError('CLI_UNREACHABLE', what, error)
    }
    if (error.code === status.UNIMPLEMENTED) {
      return new CliError('CLI_UNREACHABLE', `${this.#address} is no correlator (${said})`, error)
    }
    return new CliError('CLI_REFUSED', `${this.#address}: ${said.replace(/\.$/, '')}`, error)
  }
}

function firstSentence(text: string): string {
  return text.replace(/^No connection established\. Last error: /, '').split(/\. |\n/)[0]
}

function credentialsOf({ tls_ca, tls_cert, tls_key }: ServerSettings): ChannelCredentials {
  if (!tls_ca && !tls_cert && !tls_key) return credentials.createInsecure()
  const read = (file: string | undefined): Buffer | undefined => {
    if (file === undefined) return undefined
    try {
      return readFileSync(file)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      throw new CliError('CLI_UNREADABLE', `tls: ${file} cannot be read (${code})`, error)
    }
  }
  const [ca, cert, key] = [read(tls_ca), read(tls_cert), read(tls_key)]
  return credentials.createSsl(ca ?? null, key ?? null, cert ?? null)
}
