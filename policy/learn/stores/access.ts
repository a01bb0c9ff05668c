/** What was seen to be done to stores, by one program of one workload each. Plain data. */
import type { ProcessFacts } from '../../match/process-rules.ts'

/** Names one event for ever. */
export interface EventName { node_id: string, boot_id: string, seq: number }

/** What one program of one workload did to one store. Times are wall clock milliseconds. */
export interface Access {
  store: string
  does: 'read' | 'write'
  facts: ProcessFacts
  /** Of the policy, with the zones that were learned. */
  zone: string
  /** Path of the program, its name where there is no path. */
  program: string
  /** What the program says of who used it: a tool or a shell is used by hand. */
  program_kind: 'own' | 'interpreter' | 'by_hand'
  workload: string
  workload_class: string
  node_id: string
  reports: number
  bytes: number
  /** Changes, of writes. */
  changes: number
  /** Most distinct files that one process read. */
  files: number
  /** Bytes by day of UTC. */
  days: Map<number, number>
  first_ms: number
  last_ms: number
  example: EventName
  /** Ids of incidents or of detectors that it concerns. */
  suspected: string[]
  /** By the lists of the policy; null: it has none. */
  allowed: boolean | null
}

/** Several accesses told as one. */
export interface Sum {
  reports: number
  bytes: number
  changes: number
  days: number
  first_ms: number
  last_ms: number
  programs: string[]
  workloads: string[]
  nodes: number
  example: EventName
}

const DAY_MS = 86_400_000

/** Number of the day of a time. */
export function dayOf(timeMs: number): number {
  return Math.floor(timeMs / DAY_MS)
}

/** The list must not be empty. */
export function summed(list: readonly Access[]): Sum {
  const names = (all: string[]): string[] => [...new Set(all.filter((one) => one !== ''))].sort()
  const first = list.reduce((a, b) => b.first_ms < a.first_ms ? b : a)
  const add = (of: (one: Access) => number): number => list.reduce((sum, one) => sum + of(one), 0)
  return {
    reports: add(({ reports }) => reports), bytes: add(({ bytes }) => bytes),
    changes: add(({ changes }) => changes),
    days: new Set(list.flatMap(({ days }) => [...days.keys()])).size,
    first_ms: first.first_ms, last_ms: Math.max(...list.map(({ last_ms }) => last_ms)),
    programs: names(list.map(({ program }) => program)),
    workloads: names(list.map(({ workload, program }) => workload || program)),
    nodes: new Set(list.map(({ node_id }) => node_id)).size, example: first.example,
  }
}
