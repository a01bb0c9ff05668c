/**
 * A position that survives restarts: how far the spool was acknowledged. A small text file beside
 * the segments, replaced as a whole, so that it is the old one or the new one, never half of each.
 */
import { promises, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { errnoOf, LogError, logErrorOf } from './errors.ts'
import { syncFolder } from './folder.ts'

const MARK_NAME = 'mark'

/** Opens the mark of a folder; 0 when none was ever set. Throws LogError. */
export function openMark(dir: string): Mark {
  const path = join(dir, MARK_NAME)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return new Mark(dir, 0)
    throw logErrorOf('read', path, error)
  }
  const match = /^position (\d{1,16})\ncrc32 ([0-9a-f]{8})\n$/.exec(text)
  const position = Number(match?.[1])
  if (match === null || text !== encodeMark(position)) {
    const what = 'the content does not match its checksum'
    throw new LogError('LOG_MARK_DAMAGED', { operation: 'read', path, what })
  }
  return new Mark(dir, position)
}

/** A persisted position that only grows; made by `openMark`. */
export class Mark {
  readonly #dir: string
  readonly #path: string
  #position: number
  #wanted: number
  #running: Promise<void> = Promise.resolve()
  #waiting: Promise<void> | null = null

  /** Use `openMark`. */
  constructor(dir: string, position: number) {
    this.#dir = dir
    this.#path = join(dir, MARK_NAME)
    this.#position = position
    this.#wanted = position
  }

  /** The last position that is durable. */
  get position(): number {
    return this.#position
  }

  /**
   * Makes `position` durable; a lower one than before changes nothing. Calls made while one is
   * running share the next one. Rejects with LogError, then `position` is still the old one.
   */
  set(position: number): Promise<void> {
    this.#wanted = Math.max(this.#wanted, position)
    if (this.#waiting === null) {
      this.#waiting = this.#running.then(() => {
        this.#waiting = null
        return this.#write(this.#wanted)
      })
      this.#running = this.#waiting.catch(() => {})
    }
    return this.#waiting
  }

  async #write(position: number): Promise<void> {
    if (position === this.#position) return
    const fresh = `${this.#path}.new`
    try {
      const file = await promises.open(fresh, 'w', 0o640)
      try {
        await file.writeFile(encodeMark(position))
        await file.datasync()
      } finally {
        await file.close()
      }
      await promises.rename(fresh, this.#path)
    } catch (error) {
      throw logErrorOf('write', this.#path, error)
    }
    await syncFolder(this.#dir)
    this.#position = position
  }
}

function encodeMark(position: number): string {
  const line = `position ${position}\n`
  return `${line}crc32 ${crc32(line).toString(16).padStart(8, '0')}\n`
}
