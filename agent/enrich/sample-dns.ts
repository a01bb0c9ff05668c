// DNS answers for tests, as a name server writes them.

import { parseAddress } from '../../proto/address.ts'

export interface SampleAnswer {
  name: string
  addresses?: readonly string[]
  /** Names between the one that was asked for and the one that has the addresses. */
  aliases?: readonly string[]
  ttl_s?: number
  response_code?: number
  truncated?: boolean
}

/** `count` different IPv4 addresses. */
export function addressesOf(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `10.1.${i >> 8}.${i & 255}`)
}

/** Labels as they are, without compression. */
export function nameOf(name: string): Buffer {
  const labels = name === '' ? [] : name.split('.')
  const parts = labels.map((label) =>
    Buffer.concat([Buffer.of(label.length), Buffer.from(label, 'latin1')]))
  return Buffer.concat([...parts, Buffer.of(0)])
}

/** One record of class internet. */
export function recordOf(owner: Buffer, type: number, ttlS: number, data: Buffer): Buffer {
  const fixed = Buffer.alloc(10)
  fixed.writeUInt16BE(type, 0)
  fixed.writeUInt16BE(1, 2)
  fixed.writeUInt32BE(ttlS, 4)
  fixed.writeUInt16BE(data.length, 8)
  return Buffer.concat([owner, fixed, data])
}

/** Header, question and `records`. */
export function messageWith(
  name: Buffer, records: readonly Buffer[], flags = 0x8180, count = records.length,
): Buffer {
  const header = Buffer.alloc(12)
  header.writeUInt16BE(0xbeef, 0)
  header.writeUInt16BE(flags, 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(count, 6)
  return Buffer.concat([header, name, Buffer.of(0, 1, 0, 1), ...records])
}

/** A sound answer, the owners of its records compressed where they are the question. */
export function messageOf(answer: SampleAnswer): Buffer {
  const { name, addresses = [], aliases = [], ttl_s: ttlS = 300, response_code: code = 0 } = answer
  const question = Buffer.of(0xc0, 12)
  const chain = [question, ...aliases.map(nameOf)]
  const records = [
    ...aliases.map((alias, i) => recordOf(chain[i], 5, ttlS, nameOf(alias))),
    ...addresses.map((address) => addressRecord(chain.at(-1)!, address, ttlS)),
  ]
  const flags = 0x8180 | code | (answer.truncated ? 0x0200 : 0)
  return messageWith(nameOf(name), records, flags)
}

function addressRecord(owner: Buffer, address: string, ttlS: number): Buffer {
  const bytes = Buffer.from(parseAddress(address))
  const isV4 = address.includes('.')
  return recordOf(owner, isV4 ? 1 : 28, ttlS, isV4 ? bytes.subarray(12) : bytes)
}
