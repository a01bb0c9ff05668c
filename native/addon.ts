// Finds and loads vedette.node. The only file that does.

import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { NvmlAnswer } from './gpu.ts'

/** What C++ gives for a refusal, before the code gets its name. */
export interface RawFailure {
  operation: string
  errno: number
  program?: string
  detail: string
}

/** Account of one kind of record. */
export interface RawCount { kind: number, produced: number, lost: number, over_quota: number }

/** The class in native/src/kernel/object.cc. Numbers below 0 are a negative errno. */
export interface RawKernelObject {
  load(
    programs: string[], ringBytes: number, socketsMax: number, settings: (string | bigint)[],
    flowsMax: number, cgroupDir: string,
  ): RawFailure | undefined
  extend(programs: string[]): RawFailure | undefined
  attach(program: string): RawFailure | undefined
  detach(program: string): void
  readRing(buffer: ArrayBuffer): number
  readIterator(program: string, buffer: ArrayBuffer): number
  counters(): RawCount[] | RawFailure
  faults(): { name: string, count: number }[] | RawFailure
  ringPending(): number
  programStats(): { name: string, id: number, run_count: number, run_time_ns: number }[]
  setEntry(map: string, key: Uint8Array, value: Uint8Array | undefined): RawFailure | undefined
  mapBytes(): number
  close(): void
}

/** The class in native/src/gpu/object.cc; see gpu.ts. */
export interface RawNvml {
  begin(library: string, slow: boolean, nonce?: Uint8Array): number
  take(): NvmlAnswer | undefined
  calling(): string
}

/** The exports of native/src/addon.cc. */
export interface RawAddon {
  Nvml: new () => RawNvml
  KernelObject: new () => RawKernelObject
  programs(): { name: string, section: string }[] | RawFailure
  clocks(): [bigint, bigint]
  enableStats(): number
  disableStats(fd: number): void
  libbpfVersion: string
}

/** No vedette.node could be loaded. `message` names each place tried, and what to do. */
export class AddonMissingError extends Error {
  readonly code = 'ADDON_MISSING'
}

/** Where vedette.node may be, in order: the environment's choice, this checkout, a package. */
export function addonPlaces(): string[] {
  const chosen = process.env.VEDETTE_NATIVE
  if (chosen) return [chosen]
  return [
    join(import.meta.dirname, '../build/native/vedette.node'),
    `vedette-linux-${process.arch}/vedette.node`,
  ]
}

/** Loads the first that loads. Throws AddonMissingError with the reason of each. */
export function loadAddon(places: string[] = addonPlaces()): RawAddon {
  const require = createRequire(import.meta.url)
  const refusals: string[] = []
  for (const place of places) {
    if (place.startsWith('/') && !existsSync(place)) {
      refusals.push(`  ${place}: does not exist`)
      continue
    }
    try {
      return require(place) as RawAddon
    } catch (error) {
      refusals.push(`  ${place}: ${firstLine(error)}`)
    }
  }
  throw new AddonMissingError(
    `The native addon cannot be loaded (linux-${process.arch}, Node ${process.version}):\n` +
    `${refusals.join('\n')}\n${remedy(refusals)}`)
}

function firstLine(error: unknown): string {
  return String(error instanceof Error ? error.message : error).split('\n')[0]
}

function remedy(refusals: string[]): string {
  if (process.platform !== 'linux') return 'Vedette watches Linux kernels: run it on Linux.'
  if (refusals.some((line) => line.includes('libbpf.so'))) {
    return 'The libbpf library is missing. On Debian: sudo apt-get install libbpf1'
  }
  return 'Build it with: npm run build'
}
