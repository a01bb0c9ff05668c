/** How large a store is at least, by what was ever read of it. Plain data. Days are of UTC. */

export interface Extent {
  /** Event time of the first read, wall clock milliseconds. */
  sinceMs: number
  day: number
  /** The most distinct files that one process has read today, and on the days before. */
  filesToday: number
  files: number
  /** The most bytes that one class of workloads has read, in the same way. */
  bytesToday: number
  bytes: number
}

const DAY_MS = 86_400_000

export function newExtent(timeMs: number): Extent {
  return { sinceMs: timeMs, day: dayOf(timeMs), filesToday: 0, files: 0, bytesToday: 0, bytes: 0 }
}

/**
 * A process has read so many files by now, and its class so many bytes today. What is told late
 * counts as if it were now.
 */
export function widen(extent: Extent, files: number, bytes: number, timeMs: number): void {
  const day = dayOf(timeMs)
  if (day > extent.day) {
    extent.files = Math.max(extent.files, extent.filesToday)
    extent.bytes = Math.max(extent.bytes, extent.bytesToday)
    extent.filesToday = extent.bytesToday = 0
    extent.day = day
  }
  extent.filesToday = Math.max(extent.filesToday, files)
  extent.bytesToday = Math.max(extent.bytesToday, bytes)
}

/**
 * Files of the store: by the policy, else the most that one process read on a day before, once the
 * store is known for long enough. 0: not known.
 */
export function filesOfStore(
  extent: Extent, expected: number | null, nowMs: number, learnMs: number,
): number {
  if (expected !== null) return expected
  return nowMs - extent.sinceMs >= learnMs ? extent.files : 0
}

/** Number of the day of a time. */
export function dayOf(timeMs: number): number {
  return Math.floor(timeMs / DAY_MS)
}
