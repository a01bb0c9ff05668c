/**
 * One writer per folder. The lock is a file that names its holder by pid, start time of that
 * process and boot, so that a holder that died, or whose pid was given to another, is found out.
 * Limit: a holder in another pid namespace looks dead; two containers must not share a folder.
 */
import { linkSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { errnoOf, LogError, logErrorOf } from './errors.ts'

/** The process that holds a folder. */
export interface Holder {
  pid: number
  /** Clock ticks since boot at which the process started: tells it from a later one. */
  startTicks: number
  bootId: string
}

/** A held folder; give it back with `release`. */
export interface FolderLock {
  release(): void
}

const LOCK_NAME = 'lock'
const ATTEMPTS_MAX = 10

/** Takes the folder for this process, also from a dead holder. Throws LogError LOG_LOCKED. */
export function lockFolder(dir: string): FolderLock {
  const path = join(dir, LOCK_NAME)
  const mine = `${path}.${process.pid}-${randomBytes(4).toString('hex')}`
  try {
    writeFileSync(mine, JSON.stringify(ourselves()), { flag: 'wx' })
    try {
      take(path, mine)
    } finally {
      unlinkSync(mine)
    }
  } catch (error) {
    throw logErrorOf('lock', path, error)
  }
  return { release: () => unlinkIfThere(path) }
}

/** Who holds the folder now, or null. Never throws on a foreign or empty lock file. */
export function folderHolder(dir: string): Holder | null {
  const holder = parseHolder(readIfThere(join(dir, LOCK_NAME)))
  return holder !== null && isAlive(holder) ? holder : null
}

// A link appears whole or not at all, so a lock file never shows half a holder.
function take(path: string, mine: string): void {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    try {
      return linkSync(mine, path)
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error
    }
    const text = readIfThere(path)
    const holder = parseHolder(text)
    if (holder !== null && isAlive(holder)) throw lockedBy(path, holder)
    moveAside(path, `${mine}.stale`, text)
  }
  throw new LogError('LOG_LOCKED', {
    operation: 'lock', path, what: 'other processes take this folder at the same moment',
  })
}

// Another process may have taken over between our look and our move: then its lock is put back.
function moveAside(path: string, aside: string, seen: string | null): void {
  try {
    renameSync(path, aside)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return
    throw error
  }
  if (readIfThere(aside) !== seen) linkSync(aside, path)
  unlinkSync(aside)
}

function lockedBy(path: string, holder: Holder): LogError {
  const who = holder.pid === process.pid ? 'this process itself' : `process ${holder.pid}`
  const what = `held by ${who} (${commOf(holder.pid)})`
  return new LogError('LOG_LOCKED', { operation: 'lock', path, what })
}

function ourselves(): Holder {
  const startTicks = statOf(process.pid)?.startTicks ?? 0
  return { pid: process.pid, startTicks, bootId: bootId() }
}

function isAlive(holder: Holder): boolean {
  if (holder.bootId !== bootId()) return false
  const stat = statOf(holder.pid)
  // A zombie has closed its files already.
  return stat !== null && stat.state !== 'Z' && stat.startTicks === holder.startTicks
}

// proc_pid_stat(5): the name may hold spaces and brackets, so fields are counted behind the last.
function statOf(pid: number): { state: string, startTicks: number } | null {
  const text = readIfThere(`/proc/${pid}/stat`)
  if (text === null) return null
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return { state: fields[0], startTicks: Number(fields[19]) }
}

function bootId(): string {
  return (readIfThere('/proc/sys/kernel/random/boot_id') ?? '').trim()
}

function commOf(pid: number): string {
  return (readIfThere(`/proc/${pid}/comm`) ?? 'unknown').trim()
}

function parseHolder(text: string | null): Holder | null {
  if (text === null) return null
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null) return null
    const { pid, startTicks, bootId } = value as Partial<Holder>
    const known = Number.isInteger(pid) && Number.isFinite(startTicks) && typeof bootId === 'string'
    return known ? (value as Holder) : null
  } catch {
    return null
  }
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    // ESRCH: the process ended while its entry was read.
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ESRCH') return null
    throw error
  }
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw logErrorOf('unlock', path, error)
  }
}
