// Reads answers of name servers (RFC 1035). Pure, and made for hostile input: everything is
// bounded, nothing throws, and what cannot be read is left out and said to be cut.

import { formatAddress } from '../../proto/address.ts'

/** What an answer says. */
export interface DnsAnswerFacts {
  /** The name that was asked for, lower case, without the last dot; '' for the root or nonsense. */
  name: string
  /** Its addresses in the order of the answer, each once; aliases are followed. */
  addresses: string[]
  /** The shortest time to live of those, seconds; 0 without any. */
  ttl_s: number
  /** 0 is success, 3 no such name. */
  response_code: number
  /** Not everything could be read: cut, malformed, or more than we keep. */
  cut: boolean
}

const headerBytes = 12
const nameBytesMax = 255
/** As the field `name` of a dns_answer. */
const nameTextMax = 256
const jumpsMax = 16
const recordsMax = 64
const aliasesMax = 16
/** As many as fit the field `addresses` when they are short. */
const addressesMax = 64

const typeA = 1
const typeCname = 5
const typeAaaa = 28
const classInternet = 1

/** A name and where the message goes on after it; undefined when it cannot be read. */
interface NameAt { text: string, next: number }

interface AnswerRecord { owner: string, type: number, ttlS: number, address: string, alias: string }

/** `message` is all that there is of it; a longer one was cut before. */
export function readDnsAnswer(message: Uint8Array): DnsAnswerFacts {
  const facts = { name: '', addresses: [], ttl_s: 0, response_code: 0, cut: true }
  if (message.length < headerBytes) return facts
  const view = new DataView(message.buffer, message.byteOffset, message.length)
  const response_code = message[3] & 0x0f
  const question = view.getUint16(4) === 0 ? undefined : readName(message, headerBytes)
  if (!question || question.next + 4 > message.length) return { ...facts, response_code }
  const name = question.text
  const told = view.getUint16(6)
  const records = readRecords(view, question.next + 4, Math.min(told, recordsMax))
  const truncated = (message[2] & 0x02) !== 0
  const found = follow(name, records)
  // A server that repeats the question with more than one of them is unheard of.
  const cut = truncated || records.length < told || found.cut || view.getUint16(4) > 1
  return { name, response_code, ...found, cut }
}

/** The records from `at` on, up to `count` or to the first that cannot be read. */
function readRecords(view: DataView, at: number, count: number): AnswerRecord[] {
  const message = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
  const records: AnswerRecord[] = []
  while (records.length < count) {
    const owner = readName(message, at)
    if (!owner || owner.next + 10 > message.length) break
    const type = view.getUint16(owner.next)
    const start = owner.next + 10
    const end = start + view.getUint16(owner.next + 8)
    if (end > message.length) break
    const internet = view.getUint16(owner.next + 2) === classInternet
    const ttlS = view.getUint32(owner.next + 4)
    records.push({
      owner: owner.text,
      type: internet ? type : 0,
      // The highest bit makes it meaningless (RFC 2181, 8).
      ttlS: ttlS > 0x7fff_ffff ? 0 : ttlS,
      address: internet ? addressOf(type, message.subarray(start, end)) : '',
      alias: type === typeCname ? readName(message, start)?.text ?? '' : '',
    })
    at = end
  }
  return records
}

/** '' when the record holds none. */
function addressOf(type: number, data: Uint8Array): string {
  if (type === typeAaaa && data.length === 16) return formatAddress(data)
  if (type !== typeA || data.length !== 4) return ''
  return formatAddress(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...data))
}

/** The addresses of `name` and of its aliases. What else is in an answer is not believed. */
function follow(
  name: string, records: readonly AnswerRecord[],
): { addresses: string[], ttl_s: number, cut: boolean } {
  const aliases = new Map(records.filter(({ type }) => type === typeCname)
    .map(({ owner, alias }) => [owner, alias]))
  const names = new Set<string>()
  for (let at: string | undefined = name; at !== undefined; at = aliases.get(at)) {
    if (names.has(at) || names.size > aliasesMax) break
    names.add(at)
  }
  const found = records.filter(({ owner, address }) => address !== '' && names.has(owner))
  const addresses = [...new Set(found.map(({ address }) => address))]
  return {
    addresses: addresses.slice(0, addressesMax),
    ttl_s: found.length === 0 ? 0 : Math.min(...found.map(({ ttlS }) => ttlS)),
    cut: addresses.length > addressesMax,
  }
}

/**
 * The name at `at`, lower case, with the dots between its labels. A byte that is no letter, digit,
 * hyphen or underscore becomes a backslash and three digits, as in zone files. A pointer must lead
 * backwards, so that there are no loops.
 */
function readName(message: Uint8Array, at: number): NameAt | undefined {
  const labels: string[] = []
  let bytes = 0
  let next = 0
  let lowest = at
  for (let jumps = 0; at < message.length;) {
    const length = message[at]
    if (length === 0) {
      return { text: labels.join('.').slice(0, nameTextMax), next: next || at + 1 }
    }
    if (length >= 0xc0) {
      if (at + 1 >= message.length || ++jumps > jumpsMax) return undefined
      const target = ((length & 0x3f) << 8) | message[at + 1]
      if (target >= lowest) return undefined
      next ||= at + 2
      lowest = at = target
      continue
    }
    bytes += length + 1
    if (length > 63 || bytes > nameBytesMax || at + length >= message.length) return undefined
    labels.push(labelText(message.subarray(at + 1, at + 1 + length)))
    at += length + 1
  }
  return undefined
}

function labelText(label: Uint8Array): string {
  let text = ''
  for (const byte of label) {
    const char = String.fromCharCode(byte).toLowerCase()
    text += /[a-z0-9_-]/.test(char) && byte < 0x80 ? char : `\\${String(byte).padStart(3, '0')}`
  }
  return text
}
