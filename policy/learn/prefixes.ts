/** Address ranges that hold the given addresses tightly. */
import { parseAddress } from '../../proto/address.ts'
import { formatCidr } from '../match/cidr.ts'

/** No range is wider: what was not seen is not let in by the thousand. */
const V4_BITS_MIN = 96 + 24
const V6_BITS_MIN = 64

/**
 * The smallest prefixes that hold all of `addresses`, merged as long as they hide none of
 * `foreign` and stay within a /24 (IPv6: a /64). Sorted; each address is text of an IP.
 *
 * @throws RangeError when a text is no address
 */
export function tightCidrs(addresses: Iterable<string>, foreign: Iterable<string>): string[] {
  const own = sorted(addresses)
  const others = sorted(foreign).filter((one) => !has(own, one))
  return cover(own, others).map(({ start, bits }) => formatCidr({ bytes: bytesOf(start), bits }))
}

/** True for addresses of private networks (RFC 1918, 6598, 4193) and of the link itself. */
export function isPrivate(address: string): boolean {
  const bytes = parseAddress(address)
  if (numberOf(bytes) >> 32n !== 0xffffn) {
    return (bytes[0] & 0xfe) === 0xfc || (bytes[0] === 0xfe && (bytes[1] & 0xc0) === 0x80)
  }
  const [a, b] = bytes.subarray(12)
  return a === 10 || (a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168) ||
    (a === 100 && b >= 64 && b < 128) || (a === 169 && b === 254)
}

type Prefix = { start: bigint, bits: number }

function cover(own: readonly bigint[], foreign: readonly bigint[]): Prefix[] {
  if (own.length === 0) return []
  const [first, last] = [own[0], own[own.length - 1]]
  const bits = 128 - bitLength(first ^ last)
  const start = (first >> BigInt(128 - bits)) << BigInt(128 - bits)
  const end = start + (1n << BigInt(128 - bits))
  const isV4 = first >> 32n === 0xffffn && last >> 32n === 0xffffn
  const tight = bits >= (isV4 ? V4_BITS_MIN : V6_BITS_MIN)
  if (own.length === 1 || (tight && place(foreign, end) === place(foreign, start))) {
    return [{ start, bits }]
  }
  const middle = place(own, start + (1n << BigInt(127 - bits)))
  return [...cover(own.slice(0, middle), foreign), ...cover(own.slice(middle), foreign)]
}

function sorted(addresses: Iterable<string>): bigint[] {
  const numbers = new Set([...addresses].map((text) => numberOf(parseAddress(text))))
  return [...numbers].sort((a, b) => a < b ? -1 : 1)
}

/** Where the first number that is not below `value` stands. */
function place(numbers: readonly bigint[], value: bigint): number {
  let [low, high] = [0, numbers.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (numbers[middle] < value) low = middle + 1
    else high = middle
  }
  return low
}

function has(numbers: readonly bigint[], value: bigint): boolean {
  return numbers[place(numbers, value)] === value
}

function bitLength(value: bigint): number {
  return value === 0n ? 0 : value.toString(2).length
}

function numberOf(bytes: Uint8Array): bigint {
  return bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
}

function bytesOf(value: bigint): Uint8Array {
  return Uint8Array.from({ length: 16 }, (_, i) => Number((value >> BigInt(120 - 8 * i)) & 0xffn))
}
