// The messages of proto/ingest.proto and the call that carries them.

import type { Client, ClientDuplexStream } from '@grpc/grpc-js'
import { codec } from '../../proto/messages.ts'
import type { StoresMessage } from '../../stores/rule-message.ts'

/** Agent to correlator; one of both. */
export interface UplinkMessage {
  hello?: { protocol_version: number, node_id: string, boot_id: string, version: string }
  batch?: Uint8Array
}

/** Why a batch or a stream was not taken; see proto/ingest.proto. */
export interface Refusal {
  code: string
  message: string
  retry_after_ms: number
  first_seq: number
}

/** Correlator to agent; one of the four. */
export interface IngestMessage {
  welcome?: { acked_seq: number, batches_in_flight_max: number, batch_bytes_max: number }
  ack?: { acked_seq: number }
  refusal?: Refusal
  stores?: StoresMessage
}

export type UplinkCall = ClientDuplexStream<UplinkMessage, IngestMessage>

const uplinkMessage = codec<UplinkMessage>('UplinkMessage')
const ingestMessage = codec<IngestMessage>('IngestMessage')

/** Opens the stream. Failures arrive as its 'error' event. */
export function openCall(client: Client): UplinkCall {
  return client.makeBidiStreamRequest(
    '/vedette.Ingest/Uplink', uplinkMessage.encode, ingestMessage.decode)
}
