/**
 * CIDR text to 16 bytes and back. IPv4 lives inside IPv6 as `::ffff:a.b.c.d`, as in every event, so
 * `bits` counts from the start of the 16 bytes: 10.0.0.0/8 has 104.
 */
export type Cidr = { bytes: Uint8Array, bits: number }

/** What is wrong with a CIDR and what to write instead. */
export type CidrFault = { message: string, fix: string }

/** IPv4 addresses start after this many bits of the 16 bytes. */
const V4_BITS = 96
const EXAMPLE = 'write an address range such as 10.20.0.0/16 or fd00:20::/32'

/** Reads a CIDR, or an address alone, which stands for itself. Returns a fault, never throws. */
export function parseCidr(text: string): Cidr | CidrFault {
  const slash = text.indexOf('/')
  const address = slash < 0 ? text : text.slice(0, slash)
  const bytes = parseV4(address) ?? parseV6(address)
  if (bytes === null) {
    return { message: `${quote(text)} is not an IPv4 or IPv6 address range`, fix: EXAMPLE }
  }
  const v4 = !address.includes(':')
  const width = v4 ? 32 : 128
  const length = slash < 0 ? String(width) : text.slice(slash + 1)
  if (!/^[0-9]{1,3}$/.test(length) || Number(length) > width) {
    return {
      message: `the prefix length of ${quote(text)} is not a number from 0 to ${width}`,
      fix: `write ${address}/${width} for this one address`,
    }
  }
  const bits = Number(length) + (v4 ? V4_BITS : 0)
  if (!v4 && bits >= V4_BITS && isMapped(bytes)) {
    return { message: `${quote(text)} is IPv4 in IPv6 clothes`, fix: fixTo({ bytes, bits }) }
  }
  const network = masked(bytes, bits)
  if (network.some((byte, i) => byte !== bytes[i])) {
    return {
      message: `${quote(text)} sets bits of the address after its prefix length`,
      fix: fixTo({ bytes, bits }),
    }
  }
  return { bytes, bits }
}

/**
 * Reads a CIDR that was checked before.
 *
 * @throws TypeError when it is none
 */
export function cidrOf(text: string): Cidr {
  const cidr = parseCidr(text)
  if ('message' in cidr) throw new TypeError(`policy: ${cidr.message}; ${cidr.fix}`)
  return cidr
}

/** True when the address of 16 bytes at `offset` is in the range. `::/0` does not hold IPv4. */
export function cidrHolds(
  { bytes: network, bits }: Cidr, bytes: Uint8Array, offset: number,
): boolean {
  if (bits < V4_BITS && isMapped(bytes.subarray(offset, offset + 16))) return false
  for (let bit = 0; bit < bits; bit += 8) {
    const mask = bits - bit >= 8 ? 0xff : (0xff00 >> (bits - bit)) & 0xff
    if (((network[bit >> 3] ^ bytes[offset + (bit >> 3)]) & mask) !== 0) return false
  }
  return true
}

/** Writes a CIDR in its usual form (RFC 5952 for IPv6), host bits cleared. */
export function formatCidr(cidr: Cidr): string {
  const bytes = masked(cidr.bytes, cidr.bits)
  if (cidr.bits >= V4_BITS && isMapped(bytes)) {
    return `${bytes.subarray(12).join('.')}/${cidr.bits - V4_BITS}`
  }
  const groups = Array.from({ length: 8 }, (_, i) => {
    return (bytes[2 * i] << 8 | bytes[2 * i + 1]).toString(16)
  })
  return `${shorten(groups)}/${cidr.bits}`
}

/** True for 127.0.0.0/8, ::1 and the unspecified addresses, which the kernel takes as loopback. */
export function isLoopback(bytes: Uint8Array, offset: number): boolean {
  for (let i = 0; i < 10; i++) if (bytes[offset + i] !== 0) return false
  const word = (bytes[offset + 10] << 8) | bytes[offset + 11]
  const high = (bytes[offset + 12] << 8) | bytes[offset + 13]
  const low = (bytes[offset + 14] << 8) | bytes[offset + 15]
  if (word === 0xffff) return bytes[offset + 12] === 127 || (high === 0 && low === 0)
  return word === 0 && high === 0 && low <= 1
}

function fixTo(cidr: Cidr): string {
  return `write ${formatCidr(cidr)}`
}

function quote(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text)
}

function masked(bytes: Uint8Array, bits: number): Uint8Array {
  return bytes.map((byte, i) => {
    const kept = Math.min(8, Math.max(0, bits - i * 8))
    return byte & (0xff00 >> kept)
  })
}

function isMapped(bytes: Uint8Array): boolean {
  return bytes.every((byte, i) => i >= 12 || byte === (i < 10 ? 0 : 0xff))
}

function parseV4(text: string): Uint8Array | null {
  const parts = text.split('.')
  if (parts.length !== 4) return null
  const bytes = new Uint8Array(16).fill(0xff, 10, 12)
  for (const [i, part] of parts.entries()) {
    // A leading zero is refused: some programs read it as octal.
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return null
    bytes[12 + i] = Number(part)
  }
  return bytes
}

function parseV6(text: string): Uint8Array | null {
  if (!text.includes(':') || text.length > 45) return null
  const lastColon = text.lastIndexOf(':')
  let plain = text
  if (text.includes('.', lastColon)) {
    const tail = parseV4(text.slice(lastColon + 1))
    if (tail === null) return null
    const [a, b, c, d] = tail.subarray(12)
    const groups = [a << 8 | b, c << 8 | d].map((group) => group.toString(16))
    plain = text.slice(0, lastColon + 1) + groups.join(':')
  }
  const halves = plain.split('::')
  if (halves.length > 2) return null
  const [head, tail] = halves.map((half) => half === '' ? [] : half.split(':'))
  const given = head.length + (tail?.length ?? 0)
  if (tail === undefined ? given !== 8 : given > 7) return null
  const groups = [...head, ...Array<string>(8 - given).fill('0'), ...(tail ?? [])]
  if (!groups.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return null
  const values = groups.map((group) => Number.parseInt(group, 16))
  return Uint8Array.from(values.flatMap((value) => [value >> 8, value & 0xff]))
}

/** Replaces the longest run of two or more zero groups, the first of equals, by `::`. */
function shorten(groups: string[]): string {
  let start = -1
  let length = 1
  for (let i = 0; i < 8; i++) {
    let end = i
    while (end < 8 && groups[end] === '0') end++
    if (end - i > length) {
      start = i
      length = end - i
    }
  }
  if (start < 0) return groups.join(':')
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + length).join(':')}`
}
