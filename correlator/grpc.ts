/** The two gRPC services of one port, with the codecs of proto/, and how the port is opened. */
import { readFileSync } from 'node:fs'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js'
import { codec } from '../proto/messages.ts'
import type { StoresMessage } from '../stores/rule-message.ts'
import type { CorrelatorSettings, TlsFiles } from './config.ts'
import { hostPort } from './config.ts'
import { CorrelatorError, messageOf } from './errors.ts'

/** Agent to correlator: proto/ingest.proto. */
export interface UplinkMessage {
  message?: 'hello' | 'batch'
  hello?: { protocol_version: number, node_id: string, boot_id: string, version: string }
  batch?: Uint8Array
}

/** Why a batch or a stream was not taken. */
export type RefusalCode = 'wrong_node' | 'malformed_batch' | 'batch_too_large' | 'disk_full'
  | 'busy' | 'protocol_version' | 'sequence'

/** See Refusal in proto/ingest.proto. */
export interface Refusal {
  code: RefusalCode
  message: string
  retry_after_ms: number
  first_seq: number
}

/** Correlator to agent. */
export interface IngestMessage {
  message?: 'welcome' | 'ack' | 'refusal' | 'stores'
  welcome?: { acked_seq: number, batches_in_flight_max: number, batch_bytes_max: number }
  ack?: { acked_seq: number }
  refusal?: Refusal
  stores?: StoresMessage
}

/** Requests of proto/query.proto; defaults are filled in. */
export interface EventsRequest {
  from_ms: number
  to_ms: number
  kinds: string[]
  node_ids: string[]
  follow: boolean
  limit: number
}
export interface IncidentsRequest { incident_id: string, state: string, follow: boolean }
export interface EventId { node_id: string, boot_id: string, seq: number }
export interface BatchesRequest {
  from_ms: number
  to_ms: number
  kinds_before: string[]
  events: EventId[]
}
export interface StoresRequest { from_ms: number, stores: string[] }
export interface JsonLines { lines: string[] }
export interface StoredBatch { position: number, payload: Uint8Array, missed: string }

/** vedette.Ingest */
export const ingestService = {
  Uplink: method<UplinkMessage, IngestMessage>(
    'Ingest/Uplink', 'UplinkMessage', 'IngestMessage', 'both'),
} satisfies ServiceDefinition

/** vedette.Query */
export const queryService = {
  Events: method<EventsRequest, JsonLines>('Query/Events', 'EventsRequest', 'JsonLines', 'answer'),
  Incidents: method<IncidentsRequest, JsonLines>(
    'Query/Incidents', 'IncidentsRequest', 'JsonLines', 'answer'),
  Batches: method<BatchesRequest, StoredBatch>(
    'Query/Batches', 'BatchesRequest', 'StoredBatch', 'answer'),
  Status: method<object, JsonLines>('Query/Status', 'StatusRequest', 'JsonLines', 'none'),
  Stores: method<StoresRequest, JsonLines>('Query/Stores', 'StoresRequest', 'JsonLines', 'answer'),
} satisfies ServiceDefinition

function method<Request, Response>(
  path: string, request: string, response: string, streams: 'both' | 'answer' | 'none',
): MethodDefinition<Request, Response> {
  const requests = codec<Request>(request)
  const responses = codec<Response>(response)
  return {
    path: `/vedette.${path}`,
    requestStream: streams === 'both',
    responseStream: streams !== 'none',
    requestSerialize: requests.encode,
    requestDeserialize: requests.decode,
    responseSerialize: responses.encode,
    responseDeserialize: responses.decode,
  }
}

/** Room around a batch in its message. */
const MESSAGE_OVERHEAD_BYTES = 64 * 1024

/** A server without services, with the limits of the settings. */
export function newServer(settings: CorrelatorSettings): Server {
  return new Server({
    // Twice, so that a batch that is a little too large gets an answer that says so.
    'grpc.max_receive_message_length': 2 * settings.batch_bytes_max + MESSAGE_OVERHEAD_BYTES,
    'grpc.keepalive_time_ms': 20_000,
    'grpc.keepalive_timeout_ms': 10_000,
  })
}

/** Opens the port and gives its number. Rejects with LISTEN_FAILED or TLS_UNREADABLE. */
export async function listenGrpc(server: Server, settings: CorrelatorSettings): Promise<number> {
  const credentials = credentialsOf(settings.tls)
  const { host, port } = hostPort(settings.listen)!
  const address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, bound) => {
      if (error === null) return resolve(bound)
      const what = `listen (gRPC) ${settings.listen}: ${error.message}`
      reject(new CorrelatorError('LISTEN_FAILED', what, error))
    })
  })
}

function credentialsOf(tls: TlsFiles | undefined): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure()
  try {
    const [ca, cert, key] = [tls.ca, tls.cert, tls.key].map((path) => readFileSync(path))
    return ServerCredentials.createSsl(ca, [{ cert_chain: cert, private_key: key }], true)
  } catch (error) {
    throw new CorrelatorError('TLS_UNREADABLE', `tls: ${messageOf(error)}`, error)
  }
}
