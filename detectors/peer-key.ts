/** Peers as numbers, for baselines: those that do the same work are one. */
import { isMappedIpv4 } from '../proto/address.ts'
import { isPublic } from './far-end.ts'

/**
 * The network of an address as a number of 29 bits: /24 of IPv4, /64 of IPv6 (as a hash), and one
 * number for all of the Internet, where addresses of one service come and go.
 */
export function networkKey(bytes: Uint8Array, at: number): number {
  if (isPublic(bytes, at)) return 1
  if (isMappedIpv4(bytes, at)) {
    return (bytes[at + 12] << 16) | (bytes[at + 13] << 8) | bytes[at + 14]
  }
  let hash = 0x811c9dc5
  for (let i = at; i < at + 8; i++) hash = Math.imul(hash ^ bytes[i], 0x01000193)
  return 0x1000_0000 | ((hash ^ (hash >>> 15)) & 0x0fff_ffff)
}

/**
 * A name without what is another one for each replica: `pod:a/llm-7d9f8b6c5-x2x4z` → `pod:a/llm`,
 * `node:gpu-07` → `node:gpu-#`.
 */
export function familyOf(name: string): string {
  return name.replace(/(-[b-df-hj-np-tv-z2-9]{6,10})?-[b-df-hj-np-tv-z2-9]{5}$/, '')
    .replaceAll(/\d+/g, '#')
}

/** Hash of a name, 29 bits. */
export function nameKey(name: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193)
  return (hash ^ (hash >>> 15)) & 0x1fff_ffff
}
