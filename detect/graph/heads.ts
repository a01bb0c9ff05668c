/** The latest connections of a process into protected zones: a list through their rows. */
import type { LineageProcess } from '../lineage.ts'
import type { ConnectionColumns } from './connection-columns.ts'

const HEADS_MAX = 8

/** The process connects into a protected zone. */
export function noteHead(columns: ConnectionColumns, process: LineageProcess, slot: number): void {
  // Both ends tell of it.
  if (process.lastHead === slot + 1) return
  columns.headBefore.set(slot, process.lastHead)
  process.lastHead = slot + 1
}

/** The latest of these connections that are still known, at most eight. */
export function headsOf(columns: ConnectionColumns, process: LineageProcess): number[] {
  const { client, headBefore } = columns
  const heads: number[] = []
  for (let next = process.lastHead; next > 0 && heads.length < HEADS_MAX;) {
    // The row belongs to another one by now, and what was before it is lost.
    if (client.get(next - 1) !== process.number) break
    heads.push(next - 1)
    next = headBefore.get(next - 1)
  }
  return heads
}
