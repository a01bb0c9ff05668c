/**
 * The latest connections of a process into protected zones: a list through their rows. When who led
 * there turns out to act for others, they are to be judged again. Bounded.
 */
import type { LineageProcess } from '../lineage.ts'
import type { ConnectionColumns } from './connection-columns.ts'
import type { Graph } from './graph.ts'

const HEADS_MAX = 8
/** Connections that one event can make stale. */
export const STALE_MAX = 32
const SIDES_MAX = 2

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

/**
 * Whoever accepted this connection acts for others than it seemed: and so do those that it has
 * reached since. What leads to their connections is to be judged again.
 */
export function taint(graph: Graph, slot: number): void {
  // For most, nothing follows from it.
  const server = newlyTainted(graph, slot)
  if (server === null) return
  const queue = reachedSince(graph, server, slot)
  while (queue.length > 0) {
    const next = queue.pop()!
    const reached = newlyTainted(graph, next)
    if (reached !== null) queue.push(...reachedSince(graph, reached, next))
  }
}

/** Who accepted it, when that is known, new, and not only one more of many sides. */
function newlyTainted(graph: Graph, slot: number): LineageProcess | null {
  if (graph.stale.length >= STALE_MAX) return null
  const server = graph.lineage.get(graph.connections.columns.server.get(slot))
  const origins = server?.origins
  if (!origins || !graph.rules.taint(origins, slot)) return null
  // Who is reached from many sides like this has been judged for it before.
  return origins.tainted > SIDES_MAX ? null : server
}

function reachedSince(graph: Graph, server: LineageProcess, slot: number): number[] {
  const { clientMs, serverMs } = graph.connections.columns
  const heads = headsOf(graph.connections.columns, server)
    .filter((head) => clientMs.get(head) >= serverMs.get(slot) - 1)
  graph.stale.push(...heads)
  return heads
}
