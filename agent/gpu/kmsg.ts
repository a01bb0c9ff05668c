// The kernel's log: one record of /dev/kmsg after the other, without what a program wrote there.

import { closeSync, constants, openSync, readSync } from 'node:fs'

/** A message of the kernel itself. */
export interface KernelMessage {
  /** Counts all records of the log. */
  sequence: number
  /** Microseconds, by the kernel's own clock since boot, suspend not included. */
  time_us: number
  text: string
}

/** What /dev/kmsg is to its reader: a record per read; errors as the system call has them. */
export interface LogFile {
  read(buffer: Buffer): number
  close(): void
}

/** Opens the real one. Throws as openSync does. */
export function openKmsg(path = '/dev/kmsg'): LogFile {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  return {
    read: (buffer) => readSync(fd, buffer, 0, buffer.length, null), close: () => closeSync(fd),
  }
}

/** A record is never longer (PRINTK_MESSAGE_MAX of the kernel, CONSOLE_EXT_LOG_MAX before). */
const recordBytesMax = 8192
/** Facilities above 0 are those of programs, and the kernel lets no program write with 0. */
const levels = 8

/** Reads from where it was opened: the whole log that is still there, then what comes. */
export class KernelLog {
  readonly #file: LogFile
  readonly #buffer = Buffer.alloc(recordBytesMax)
  #next: number | undefined
  /** Records that were overwritten before they were read. */
  lost = 0

  constructor(file: LogFile) {
    this.#file = file
  }

  /**
   * Hands over the messages of the kernel that are there, at most `recordsMax` records of anybody.
   * True when there may be more. Throws what the file throws, but for being empty or overwritten.
   */
  read(take: (message: KernelMessage) => void, recordsMax: number): boolean {
    for (let count = 0; count < recordsMax; count++) {
      const bytes = this.#readOne()
      if (bytes === 0) return false
      const record = bytes > 0 && parseRecord(this.#buffer.toString('latin1', 0, bytes))
      if (!record) continue
      if (this.#next !== undefined && record.sequence > this.#next) {
        this.lost += record.sequence - this.#next
      }
      this.#next = record.sequence + 1
      if (record.priority < levels) take(record)
    }
    return true
  }

  close(): void {
    this.#file.close()
  }

  /** Bytes of one record; 0: there is none now; -1: what was next is gone, or too long. */
  #readOne(): number {
    try {
      return this.#file.read(this.#buffer)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EAGAIN') return 0
      if (code === 'EPIPE' || code === 'EINVAL') return -1
      throw error
    }
  }
}

/** "priority,sequence,microseconds,flags[,…];text" and lines of its dictionary behind it. */
function parseRecord(record: string): KernelMessage & { priority: number } | undefined {
  const found = /^(\d{1,9}),(\d{1,15}),(\d{1,15}),[^;\n]*;([^\n]*)/.exec(record)
  if (!found) return undefined
  const [priority, sequence, time_us] = found.slice(1, 4).map(Number)
  return { priority, sequence, time_us, text: found[4] }
}
