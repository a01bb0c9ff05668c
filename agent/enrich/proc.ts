// What /proc says about one process. Every answer is checked against the process's start time, so
// that a pid given to another process in between is never mistaken.

import { closeSync, openSync, readFileSync, readlinkSync, readSync } from 'node:fs'
import { join } from 'node:path'

/** Arguments as the kernel keeps them: NUL after each. */
export interface ProcessArgs {
  /** The beginning. */
  kept: Buffer
  /** Bytes of all of them. */
  bytes: number
}

/** USER_HZ, in which /proc gives times: 100 per second on every architecture that we run on. */
const nsPerTick = 10_000_000n

/** True when `pid` is the process that started `startNs` nanoseconds after boot. */
export function isProcess(pid: number, startNs: bigint, procDir = '/proc'): boolean {
  return startTicksOf(statOf(pid, procDir)) === startNs / nsPerTick
}

/** Path of the executable; '' when it cannot be told: gone, a kernel thread, not permitted. */
export function readExe(pid: number, startNs: bigint, procDir = '/proc'): string {
  try {
    const exe = readlinkSync(join(procDir, String(pid), 'exe'))
    if (!isProcess(pid, startNs, procDir)) return ''
    // The kernel's mark for an unlinked file; the probe reports the name without it, too.
    return exe.endsWith(' (deleted)') ? exe.slice(0, -10) : exe
  } catch {
    return ''
  }
}

/** The arguments, at most `bytesMax` of them; undefined when they cannot be told. */
export function readArgs(
  pid: number, startNs: bigint, bytesMax: number, procDir = '/proc',
): ProcessArgs | undefined {
  const kept = readStart(join(procDir, String(pid), 'cmdline'), bytesMax)
  const stat = statOf(pid, procDir)
  if (kept === undefined || startTicksOf(stat) !== startNs / nsPerTick) return undefined
  // arg_start and arg_end; 0 when this user may not know.
  const bytes = Number(stat[47] ?? 0) - Number(stat[46] ?? 0)
  return { kept, bytes: Math.max(kept.length, bytes) }
}

/** Path of its cgroup v2, as this process sees it; '' when it cannot be told. */
export function readCgroupPath(pid: number, procDir = '/proc'): string {
  try {
    const text = readFileSync(join(procDir, String(pid), 'cgroup'), 'utf8')
    return /^0::(.*)$/m.exec(text)?.[1] ?? ''
  } catch {
    return ''
  }
}

/** proc_pid_stat(5) from field 3 on at index 1; the name may hold spaces and brackets. */
function statOf(pid: number, procDir: string): string[] {
  try {
    const text = readFileSync(join(procDir, String(pid), 'stat'), 'latin1')
    return ['', ...text.slice(text.lastIndexOf(')') + 2).split(' ')]
  } catch {
    return []
  }
}

function startTicksOf(stat: string[]): bigint | undefined {
  return /^\d+$/.test(stat[20] ?? '') ? BigInt(stat[20]) : undefined
}

function readStart(path: string, bytesMax: number): Buffer | undefined {
  try {
    const fd = openSync(path, 'r')
    try {
      const buffer = Buffer.alloc(bytesMax)
      return buffer.subarray(0, readSync(fd, buffer, 0, bytesMax, 0))
    } finally {
      closeSync(fd)
    }
  } catch {
    return undefined
  }
}
