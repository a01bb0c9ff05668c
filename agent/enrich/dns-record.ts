// Completes a dns_answer record in place: the kernel puts the message there as it came.

import type { RecordBuffer } from '../../proto/columns.ts'
import { recordOffsets } from '../../proto/gen/events.ts'
import { readDnsAnswer } from './dns-message.ts'

const dns = recordOffsets.dns_answer
const nameBytes = dns.addresses - dns.name
const addressesBytes = dns.server_addr - dns.addresses
const messageBytesMax = nameBytes + addressesBytes

/** Reads the message in the record at `at`, and writes what it says over it. */
export function completeDnsRecord(record: RecordBuffer, at: number): void {
  const { u8, u16, u32 } = record
  const start = at + dns.name
  const bytes = Math.min(u16[(at + dns.message_bytes) >> 1], messageBytesMax)
  const facts = readDnsAnswer(u8.subarray(start, start + bytes))
  const listed = listThatFits(facts.addresses)
  u8.fill(0, start, start + messageBytesMax)
  u8.set(Buffer.from(facts.name, 'latin1').subarray(0, nameBytes), start)
  u8.set(Buffer.from(listed.join('\0'), 'latin1'), at + dns.addresses)
  u32[(at + dns.ttl_s) >> 2] = facts.ttl_s
  u8[at + dns.response_code] = facts.response_code
  if (facts.cut || listed.length < facts.addresses.length) u8[at + dns.addresses_cut] = 1
}

/** The first ones, as many as the field holds with a NUL between them. */
function listThatFits(addresses: readonly string[]): readonly string[] {
  let bytes = -1
  const count = addresses.findIndex((address) => {
    bytes += address.length + 1
    return bytes > addressesBytes
  })
  return count < 0 ? addresses : addresses.slice(0, count)
}
