// Modules and firmware wait here until their file was read, so that the event says what was loaded
// and not only under which name. In the order in which they came; bounded, and never for long.

import { join } from 'node:path'
import { recordBuffer } from '../../proto/columns.ts'
import type { RecordBuffer } from '../../proto/columns.ts'
import {
  kernelModuleActionNames, kindInfos, recordHeader, recordOffsets,
} from '../../proto/gen/events.ts'
import type { Clock } from '../clock.ts'
import { readFileFacts } from './file-facts.ts'
import type { ExpectedFile, FileFacts } from './file-facts.ts'

export interface LoadedFilesOptions {
  /** Takes a record, at byte 0, that waited here; with what is known of its file. */
  pass(record: RecordBuffer, kind: number, texts: Readonly<Record<string, string>>): void
  clock: Clock
  /** Where the root of the node is. */
  root: string
  /** Longest time that a record waits for its file. Default 3 s. */
  waitMs?: number
}

interface Waiting { record: RecordBuffer, kind: number }

const numberOf = (kind: string): number => kindInfos.find((info) => info.kind === kind)!.number
const kernelModule = numberOf('kernel_module')
const firmwareLoad = numberOf('firmware_load')
const module = recordOffsets.kernel_module
const firmware = recordOffsets.firmware_load
const pathBytes = 256
const unload = kernelModuleActionNames.indexOf('unload')
/** More at once go on without their digest. */
const waitingMax = 64
/** The largest firmware of a GPU is 70 MB, its module 100 MB. */
const fileBytesMax = 512 * 1024 * 1024
const waitMsDefault = 3000
/** Both clocks are read a moment apart, and file systems count in steps of 4 ms. */
const clockSlackNs = 10_000_000n
const nothing: Readonly<Record<string, string>> = {}

/**
 * Reads one file at a time, and none while a file system keeps an earlier one: the threads in which
 * the agent reads are few.
 */
export class LoadedFiles {
  readonly #options: LoadedFilesOptions
  readonly #waiting: Waiting[] = []
  readonly #stopped = new AbortController()
  #reading: Promise<void> | undefined
  #kept = false
  /** Files of which the digest could not be told. */
  misses = 0

  constructor(options: LoadedFilesOptions) {
    this.#options = options
  }

  /** True when it keeps the record at `at`, and passes it on later; a copy, so that it may go. */
  take(record: RecordBuffer, at: number, kind: number): boolean {
    if (kind !== kernelModule && kind !== firmwareLoad) return false
    if (this.#waiting.length >= waitingMax || this.#stopped.signal.aborted) {
      this.misses++
      return false
    }
    // What has no file waits only behind others: the order of loads and unloads is kept.
    if (!this.#reading && !this.#expected(record, at, kind)) return false
    const bytes = record.u16[(at + recordHeader.size) >> 1]
    const copy = recordBuffer(new ArrayBuffer(bytes))
    copy.u8.set(record.u8.subarray(at, at + bytes))
    this.#waiting.push({ record: copy, kind })
    this.#reading ??= this.#read()
    return true
  }

  /** Passes on what waits, at once. Resolves when nothing does. */
  async stop(): Promise<void> {
    this.#stopped.abort()
    await this.#reading
  }

  async #read(): Promise<void> {
    const { pass, waitMs = waitMsDefault } = this.#options
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      const { record, kind } = next
      const expected = this.#expected(record, 0, kind)
      const signal = AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(waitMs)])
      const facts = expected && !this.#kept
        ? await this.#factsOf(expected, signal, kind === firmwareLoad) : undefined
      if (expected && !facts) this.misses++
      this.#waiting.shift()
      pass(record, kind, facts ? { ...facts } : nothing)
    }
    this.#reading = undefined
  }

  /** A file system that does not answer must not keep the record: undefined then. */
  #factsOf(
    expected: ExpectedFile, signal: AbortSignal, isFirmware: boolean,
  ): Promise<FileFacts | undefined> {
    const { promise, resolve } = Promise.withResolvers<FileFacts | undefined>()
    const giveUp = (): void => resolve(undefined)
    if (signal.aborted) giveUp()
    signal.addEventListener('abort', giveUp, { once: true })
    this.#kept = true
    void readFileFacts(expected, fileBytesMax, signal, isFirmware).then((found) => {
      this.#kept = false
      signal.removeEventListener('abort', giveUp)
      resolve(found)
    })
    return promise
  }

  /** The file of the record at `at`; undefined when it has none. */
  #expected({ u8, u32 }: RecordBuffer, at: number, kind: number): ExpectedFile | undefined {
    const fields = kind === kernelModule ? module : firmware
    if (kind === kernelModule && u8[at + module.action] === unload) return undefined
    if (u8[at + fields.path] === 0 || u8[at + fields.path_cut] !== 0) return undefined
    const path = textAt(u8, at + fields.path)
    const { clock, root } = this.#options
    const { bootNs, wallNs } = clock.now()
    const time = longAt(u32, at + recordHeader.time)
    return {
      path: join(root, path), inode: longAt(u32, at + fields.inode),
      bytes: Number(longAt(u32, at + fields.file_bytes)),
      changedNsMax: time + (wallNs - bootNs) + clockSlackNs,
    }
  }
}

function longAt(u32: Uint32Array, at: number): bigint {
  return (BigInt(u32[(at >> 2) + 1]) << 32n) | BigInt(u32[at >> 2])
}

function textAt(u8: Uint8Array, at: number): string {
  let end = at
  while (end < at + pathBytes && u8[end] !== 0) end++
  return Buffer.from(u8.buffer, u8.byteOffset + at, end - at).toString('utf8')
}
