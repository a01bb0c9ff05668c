/** Distinct members of groups within a sliding window. Plain data, kept in the state of NET-003. */
import type { Evidence } from '../detect/finding.ts'

/** One that was met. */
export interface Sample {
  target: string
  zone: string
  evidence: Evidence
}

/** Members in the order in which they were met last, so that the oldest is the first. */
export interface Group {
  /** Member → when it was met last. */
  members: Map<number, number>
  lastMs: number
  samples: Sample[]
}

/** The most members that a group had, in the windows that are over and in the one that runs. */
export interface Peak {
  before: number
  now: number
  sinceMs: number
}

const GROUPS_MAX = 32
/** Counting ends here: then it says "at least". */
export const MEMBERS_MAX = 1024
export const SAMPLES_MAX = 10
const PEAKS_MAX = 64

/** Notes a member of a group; the group with those of the window alone. */
export function meet(
  groups: Map<number, Group>, key: number, member: number, nowMs: number, windowMs: number,
): Group {
  let group = groups.get(key)
  if (group === undefined) {
    if (groups.size >= GROUPS_MAX) dropIdlest(groups)
    group = { members: new Map(), lastMs: nowMs, samples: [] }
    groups.set(key, group)
  }
  const { members } = group
  group.lastMs = nowMs
  members.delete(member)
  for (const [oldest, lastMs] of members) {
    if (lastMs >= nowMs - windowMs && members.size < MEMBERS_MAX) break
    members.delete(oldest)
  }
  if (members.size === 0) group.samples = []
  members.set(member, nowMs)
  return group
}

function dropIdlest(groups: Map<number, Group>): void {
  let idlest = NaN
  let sinceMs = Infinity
  for (const [key, { lastMs }] of groups) {
    if (lastMs >= sinceMs) continue
    idlest = key
    sinceMs = lastMs
  }
  groups.delete(idlest)
}

/**
 * The most that was usual in the windows before this one; takes note of `count` for those to come.
 * When there are too many peaks, the one that was raised longest ago is forgotten.
 */
export function usual(
  peaks: Map<number, Peak>, key: number, count: number, nowMs: number, windowMs: number,
): number {
  let peak = peaks.get(key)
  if (peak === undefined) {
    if (peaks.size >= PEAKS_MAX) peaks.delete([...peaks.keys()][0])
    peaks.set(key, peak = { before: 0, now: 0, sinceMs: nowMs })
  } else if (nowMs - peak.sinceMs >= windowMs) {
    if (peak.now > peak.before) {
      peak.before = peak.now
      peaks.delete(key)
      peaks.set(key, peak)
    }
    peak.now = 0
    peak.sinceMs = nowMs
  }
  peak.now = Math.max(peak.now, count)
  return peak.before
}
