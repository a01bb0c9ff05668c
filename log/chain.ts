/**
 * The hash chain: each frame's hash covers its payload, its position and the hash before it, so a
 * changed, removed or moved frame breaks every link behind it.
 *
 * The chain has no secret: who can rewrite the whole log can rebuild it. It is evidence when its
 * head is also kept elsewhere, which is why the writer offers its head to be reported.
 */
import { createHash } from 'node:crypto'
import { writeUint53 } from './uint53.ts'

/** The hash before the very first frame of a log. */
export const CHAIN_START: Buffer = Buffer.alloc(32)

/** sha256(previous hash, 32 bytes ‖ position, u64 little-endian ‖ payload): 32 new bytes. */
export function chainHash(previous: Buffer, position: number, payload: Uint8Array): Buffer {
  const link = Buffer.allocUnsafe(40)
  previous.copy(link, 0, 0, 32)
  writeUint53(link, position, 32)
  return createHash('sha256').update(link).update(payload).digest()
}
