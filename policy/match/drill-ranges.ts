/**
 * The two address ranges of drills: TEST-NET-1 and TEST-NET-2 of RFC 5737, which no network of the
 * Internet has. A drill uses them inside its own network namespaces only.
 */
export const DRILL_SOURCE_CIDR = '192.0.2.0/24'
export const DRILL_TARGET_CIDR = '198.51.100.0/24'

/**
 * Which end of a drill the near address is, null when the two addresses are not one of each range.
 * Both must be: a machine that really has an address of one of them, as machines in labs do, is
 * none of a drill. Allocates nothing; for almost every connection it looks at one byte.
 */
export function drillEnd(
  near: Uint8Array, nearOffset: number, far: Uint8Array, farOffset: number,
): 'source' | 'target' | null {
  const first = near[nearOffset + 12]
  if (first === 192 && isSource(near, nearOffset) && isTarget(far, farOffset)) return 'source'
  if (first === 198 && isTarget(near, nearOffset) && isSource(far, farOffset)) return 'target'
  return null
}

function isSource(bytes: Uint8Array, offset: number): boolean {
  return startsWith(bytes, offset, 192, 0, 2)
}

function isTarget(bytes: Uint8Array, offset: number): boolean {
  return startsWith(bytes, offset, 198, 51, 100)
}

function startsWith(bytes: Uint8Array, offset: number, a: number, b: number, c: number): boolean {
  if (bytes[offset + 12] !== a || bytes[offset + 13] !== b || bytes[offset + 14] !== c) return false
  for (let i = 0; i < 10; i++) if (bytes[offset + i] !== 0) return false
  return bytes[offset + 10] === 0xff && bytes[offset + 11] === 0xff
}
