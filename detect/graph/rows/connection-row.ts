/** Where the fields of a connection are in its row. */

/**
 * Bytes of a row: three cache lines. Looked up at random, it is the way there that costs: so all
 * is in one piece, and what is asked for together lies together.
 */
export const ROW_BYTES = 192
export const ADDRESSES_AT = 160

export const ROW_WORDS = ROW_BYTES / 4
export const ROW_DOUBLES = ROW_BYTES / 8
export const inWords = {
  low: 0, high: 1, clientSource: 2, serverSource: 3, clientPort: 4, serverPort: 5, zone: 6,
  headBefore: 7, flags: 12, serial: 13, refs: 14, older: 15, newer: 16,
} as const
export const inDoubles = {
  clientSeq: 4, serverSeq: 5, server: 9, serverMs: 10, serverEndMs: 11, bytesSent: 12,
  bytesReceived: 13, client: 14, clientMs: 15, clientOffset: 16, serverOffset: 17, idleMs: 18,
  holder: 19,
} as const
