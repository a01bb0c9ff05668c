// Addresses are 16 bytes everywhere: IPv6 in network order, IPv4 mapped into it (::ffff:a.b.c.d).
import { isIPv4, isIPv6 } from 'node:net'

/** True when the 16 bytes at `offset` are an IPv4 address mapped into IPv6. */
export function isMappedIpv4(bytes: Uint8Array, offset: number): boolean {
  for (let i = 0; i < 10; i++) if (bytes[offset + i] !== 0) return false
  return bytes[offset + 10] === 0xff && bytes[offset + 11] === 0xff
}

/** Text of the 16 bytes at `offset`: `10.0.0.1` or `2001:db8::1` (RFC 5952). */
export function formatAddress(bytes: Uint8Array, offset = 0): string {
  if (isMappedIpv4(bytes, offset)) {
    return `${bytes[offset + 12]}.${bytes[offset + 13]}.${bytes[offset + 14]}.${bytes[offset + 15]}`
  }
  const groups: number[] = []
  for (let i = 0; i < 16; i += 2) groups.push((bytes[offset + i] << 8) | bytes[offset + i + 1])
  const run = longestZeroRun(groups)
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(':')
  if (run.length < 2) return hex(groups)
  return `${hex(groups.slice(0, run.start))}::${hex(groups.slice(run.start + run.length))}`
}

function longestZeroRun(groups: number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 }
  let start = 0
  for (let i = 0; i <= groups.length; i++) {
    if (i < groups.length && groups[i] === 0) continue
    if (i - start > best.length) best = { start, length: i - start }
    start = i + 1
  }
  return best
}

/** The 16 bytes of an address in text. Throws RangeError on anything but one IP address. */
export function parseAddress(text: string): Uint8Array {
  const bytes = new Uint8Array(16)
  if (isIPv4(text)) {
    bytes.set([0xff, 0xff, ...text.split('.').map(Number)], 10)
    return bytes
  }
  if (!isIPv6(text) || text.includes('%')) throw new RangeError(`"${text}" is not an IP address`)
  const tail = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text)
  const hex = tail ? tail[1] + wordsOfIpv4(tail[2]) : text
  const [head, rest] = hex.split('::')
  const left = head ? head.split(':') : []
  const right = rest ? rest.split(':') : []
  const zeros = rest === undefined ? 0 : 8 - left.length - right.length
  const groups = [...left, ...Array<string>(zeros).fill('0'), ...right]
  groups.forEach((group, i) => {
    const value = Number.parseInt(group, 16)
    bytes[2 * i] = value >> 8
    bytes[2 * i + 1] = value & 0xff
  })
  return bytes
}

/** `a.b.c.d` as two groups of hex digits. */
function wordsOfIpv4(text: string): string {
  const octets = text.split('.').map((octet) => Number(octet).toString(16).padStart(2, '0'))
  return `${octets[0]}${octets[1]}:${octets[2]}${octets[3]}`
}
