/** How much processes together have read of a store. Plain data, kept in the state of detectors. */
import type { Read } from './reading.ts'

export interface Amounts {
  bytes: number
  /** Files of processes that are no longer followed. */
  settledFiles: number
  /** Distinct files by process; the one that was seen first leaves. */
  files: Map<number, number>
  /** Processes that have read. */
  processes: number
}

const FOLLOWED_MAX = 32

export function newAmounts(): Amounts {
  return { bytes: 0, settledFiles: 0, files: new Map(), processes: 0 }
}

export function addRead(amounts: Amounts, { process, reading }: Read): void {
  const { files } = amounts
  amounts.bytes += reading.bytes
  const before = files.get(process.number)
  if (before === undefined) {
    amounts.processes++
    if (files.size >= FOLLOWED_MAX) {
      const [oldest, count] = files.entries().next().value!
      amounts.settledFiles += count
      files.delete(oldest)
    }
  }
  // Each mechanism counts for itself: most use one.
  files.set(process.number, Math.max(before ?? 0, reading.files))
}

/** As if no process read a file that another one has read. */
export function filesOfAll({ settledFiles, files }: Amounts): number {
  let sum = settledFiles
  for (const count of files.values()) sum += count
  return sum
}

/** Of the process that read the most, of those that were seen last. */
export function filesOfOne({ files }: Amounts): number {
  return Math.max(0, ...files.values())
}
