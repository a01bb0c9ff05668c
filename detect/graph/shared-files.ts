/** Programs that were written to file systems which nodes share. Bounded: the oldest leave. */
import type { EventViews } from '../../proto/gen/events.ts'
import type { LineageProcess } from '../lineage.ts'

/** Who wrote a file, when, and the event that says so. Plain data. */
export interface WrittenFile {
  name: string
  process: number
  source: number
  seq: number
  /** Milliseconds since boot of the writer's node, and what makes them wall clock. */
  atMs: number
  offsetMs: number
  /** Low word of its inode number, to make a key of. */
  low: number
  untilMs: number
}

export type SharedFilesSnapshot = { files: [number, WrittenFile][] }

const FILES_MAX = 4096
/** A file that nobody ran for so long is no step of a path any more. */
const KEEP_MS = 24 * 3_600_000
/** Places in the arguments where an interpreter has its script. */
const ARGS_MAX = 3

export class SharedFiles {
  /** By inode number, which network file systems show alike on all nodes. */
  private readonly byInode = new Map<number, WrittenFile>()

  get size(): number { return this.byInode.size }

  /** A process wrote a file. */
  note(
    event: EventViews['shared_file_written'], process: LineageProcess, source: number,
    nowMs: number,
  ): void {
    const inode = Number(event.inode)
    this.byInode.delete(inode)
    this.byInode.set(inode, {
      name: baseOf(event.path), process: process.number, source, seq: event.seq,
      atMs: Number(event.time) / 1e6, offsetMs: event.batch.clockOffsetMs,
      low: event.columns.inode[2 * event.row], untilMs: nowMs + KEEP_MS,
    })
    for (const [oldest, { untilMs }] of this.byInode) {
      if (this.byInode.size <= FILES_MAX && untilMs >= nowMs) break
      this.byInode.delete(oldest)
    }
  }

  /** The file that the process runs, or has its interpreter run; null when it is none of them. */
  find(event: EventViews['process_exec'], process: number): WrittenFile | null {
    const file = this.byInode.get(Number(event.exe_inode))
    // Inode numbers of two file systems may be the same: the name must be, too.
    if (file !== undefined && file.process !== process && file.name === baseOf(event.exe)) {
      return file
    }
    const scripts = event.args.slice(1, ARGS_MAX).filter((word) => word.startsWith('/')).map(baseOf)
    if (scripts.length === 0) return null
    for (const one of this.byInode.values()) {
      if (one.process !== process && scripts.includes(one.name)) return one
    }
    return null
  }

  snapshot(): SharedFilesSnapshot {
    return { files: [...this.byInode] }
  }

  /** Takes over what `snapshot` gave, which must not be used again; this one must be empty. */
  restore({ files }: SharedFilesSnapshot): void {
    for (const [inode, file] of files) this.byInode.set(inode, file)
  }
}

function baseOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
