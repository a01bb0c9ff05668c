// Encoding and decoding of the messages that are not events: envelope, ingest, query.
import protobuf from 'protobufjs/light.js'
import { descriptor } from './gen/messages.ts'

const root = protobuf.Root.fromJSON(descriptor)

/** One message type: plain objects, fields named as in the .proto files, amounts as numbers. */
export interface Codec<T> {
  encode(value: T): Buffer
  /** Throws RangeError or Error on bytes that are not this message. */
  decode(bytes: Uint8Array): T
}

/**
 * The codec of `name`, such as "Batch". Defaults are filled in; bytes are views of the input.
 * A oneof is the one field that is set, with `message` holding its name.
 */
export function codec<T>(name: string): Codec<T> {
  const type = root.lookupType(`vedette.${name}`)
  return {
    encode: (value) => bytesOf(type.encode(value as Record<string, unknown>)),
    decode: (bytes) => type.toObject(type.decode(bytes), {
      longs: Number, defaults: true, arrays: true, oneofs: true,
    }) as T,
  }
}

/** The reflected type; for callers that must read 64-bit values exactly. */
export function messageType(name: string): protobuf.Type {
  return root.lookupType(`vedette.${name}`)
}

/** What a writer holds, as a Buffer. */
export function bytesOf(writer: protobuf.Writer): Buffer {
  const bytes = writer.finish()
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}
