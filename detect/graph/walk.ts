/** Finds the ways that lead to a connection, from process to process, back to where they begin. */
import type { HopLink } from '../finding.ts'
import type { LineageProcess } from '../lineage.ts'
import type { Graph } from './graph.ts'
import type { Origin } from './origins.ts'

/** One connection of a path. */
export interface Step {
  /** Slot in the connections, and which use of it. */
  connection: number
  serial: number
  /** Number of the process that connects; 0 when it is not known. */
  actor: number
  /** How the actor follows from the step before; null for the first one. */
  link: HopLink | null
  /** The step before is the likeliest of so many. */
  of: number
  /** The path begins at the server: this one was called, and gives the orders. */
  reverse: boolean
}

/** Bounds of one search: a path, all paths together, and the processes looked at. */
const STEPS_MAX = 16
const PATHS_MAX = 32
const VISITS_MAX = 64
/** Plain requests that are followed: of the process that acts, and of those before it. */
const PLAIN_MAX = 3
const PLAIN_FURTHER_MAX = 1

interface Search {
  graph: Graph
  processOf(number: number): LineageProcess | null
  /** From the head back to its beginning. */
  steps: Step[]
  paths: Step[][]
  visits: number
}

/**
 * Every path that ends with the connection `head`, from its beginning on; the likeliest first. One
 * of the head alone when nothing led to the process that connects.
 *
 * @param actor the process that connects; null when it is not known
 */
export function pathsTo(
  graph: Graph, processOf: Search['processOf'], head: number, actor: LineageProcess | null,
): Step[][] {
  const { columns } = graph.connections
  const search: Search = { graph, processOf, steps: [], paths: [], visits: 0 }
  search.steps.push(stepTo(graph, head, actor?.number ?? 0, false))
  if (actor === null) return [search.steps]
  // A process that was handed the connection acts on it later than it was opened.
  const atMs = actor.number === columns.client.get(head) && !graph.connections.isAtStart(head)
    ? columns.clientMs.get(head) : Infinity
  extend(search, actor, atMs)
  return search.paths
}

function stepTo(graph: Graph, slot: number, actor: number, reverse: boolean): Step {
  const serial = graph.connections.columns.serial.get(slot)
  return { connection: slot, serial, actor, link: null, of: 1, reverse }
}

/** Goes on from the process that made the last step, at a time of its node. */
function extend(search: Search, process: LineageProcess, atMs: number): void {
  const { graph, steps, paths } = search
  const { client, clientMs, holder } = graph.connections.columns
  let extended = false
  if (steps.length < STEPS_MAX && search.visits++ < VISITS_MAX) {
    const last = steps[steps.length - 1]
    const plainMax = steps.length === 1 ? PLAIN_MAX : PLAIN_FURTHER_MAX
    for (const way of waysTo(graph, process, atMs, plainMax)) {
      const { connection: slot, link, of, reverse } = way
      if (steps.some(({ connection }) => connection === slot)) continue
      extended = true
      last.link = link
      last.of = of
      const before = reverse ? null : search.processOf(holder.get(slot) || client.get(slot))
      steps.push(stepTo(graph, slot, before?.number ?? 0, reverse))
      // Who was handed a connection acts on it later than it was opened.
      if (before !== null) extend(search, before, holder.get(slot) ? Infinity : clientMs.get(slot))
      else emit(search)
      steps.pop()
      if (paths.length >= PATHS_MAX) return
    }
    last.link = null
    last.of = 1
  }
  if (!extended) emit(search)
}

function emit({ steps, paths }: Search): void {
  if (paths.length < PATHS_MAX) paths.push(steps.map((step) => ({ ...step })).reverse())
}

/**
 * What led to a process by a time, the likeliest first: the one connection that it accepted itself
 * and holds open; what it has from others; then, of many requests, the latest that is open.
 */
function waysTo(
  graph: Graph, process: LineageProcess, atMs: number, plainMax: number,
): Origin[] {
  graph.settle(process)
  const { origins } = process
  if (origins === null) return []
  const alive = origins.inherited.filter((one) => graph.rules.isAlive(one))
  const usable = graph.rules.likeliest(graph.rules.usable(origins, atMs), atMs)
  const of = usable.length > 1 ? Math.max(usable.length, origins.open) : 1
  const plain = usable.filter(({ tainted }) => !tainted).slice(0, plainMax)
  const own = [...usable.filter(({ tainted }) => tainted), ...plain]
    .map((one): Origin => ({ ...one, link: 'same_process', of }))
  const forward = alive.filter(({ reverse }) => !reverse)
  const all = of === 1 ? [...own, ...forward] : [...forward, ...own]
  return all.length > 0 ? all : alive
}
