import { describe, expect, it } from 'vitest'
import { recordBuffer } from '../../proto/columns.ts'
import { recordOffsets } from '../../proto/gen/events.ts'
import { completeDnsRecord } from './dns-record.ts'
import { addressesOf, messageOf } from './sample-dns.ts'

const dns = recordOffsets.dns_answer
const start = 128
const recordBytes = 864

/** A record as the kernel fills it, at `start` of a buffer. */
function recordWith(message: Buffer): ReturnType<typeof recordBuffer> {
  const record = recordBuffer(new ArrayBuffer(start + recordBytes))
  record.u8.set(message.subarray(0, 768), start + dns.name)
  record.u16[(start + dns.message_bytes) >> 1] = message.length
  record.u8[start + dns.addresses_cut] = message.length > 768 ? 1 : 0
  return record
}

function textAt({ u8 }: { u8: Uint8Array }, at: number, bytes: number): string {
  return Buffer.from(u8.subarray(start + at, start + at + bytes)).toString('latin1')
    .replace(/\0+$/, '')
}

describe('the record of an answer', () => {
  it('holds name and addresses instead of the message', () => {
    const record = recordWith(messageOf({
      name: 'Store.Example', addresses: ['192.0.2.7', '2001:db8::7'], ttl_s: 30,
    }))
    completeDnsRecord(record, start)
    expect(textAt(record, dns.name, 256)).toBe('store.example')
    expect(textAt(record, dns.addresses, 512)).toBe('192.0.2.7\0' + '2001:db8::7')
    expect(record.u32[(start + dns.ttl_s) >> 2]).toBe(30)
    expect(record.u8[start + dns.addresses_cut]).toBe(0)
    // What comes before and after in the batch is not touched.
    expect(record.u8.subarray(0, start).every((byte) => byte === 0)).toBe(true)
  })

  it('says when the kernel cut the message, or the addresses do not fit', () => {
    const long = recordWith(messageOf({ name: 'a.b', addresses: addressesOf(100) }))
    completeDnsRecord(long, start)
    expect(long.u8[start + dns.addresses_cut]).toBe(1)
    const listed = textAt(long, dns.addresses, 512).split('\0')
    expect(listed).toEqual(addressesOf(100).slice(0, listed.length))
    expect(listed.length).toBeGreaterThan(40)
    const wide = Array.from({ length: 15 },
      (_, i) => `2001:db8:aaaa:bbbb:cccc:dddd:eeee:${(0x1000 + i).toString(16)}`)
    const full = recordWith(messageOf({ name: 'a.b', addresses: wide }))
    completeDnsRecord(full, start)
    expect(textAt(full, dns.addresses, 512).split('\0')).toEqual(wide.slice(0, 13))
    expect(full.u8[start + dns.addresses_cut]).toBe(1)
  })

  it('of a server that fails has a code and no address', () => {
    const record = recordWith(messageOf({ name: 'a.b', response_code: 2 }))
    completeDnsRecord(record, start)
    expect(record.u8[start + dns.response_code]).toBe(2)
    expect(textAt(record, dns.addresses, 512)).toBe('')
  })
})
