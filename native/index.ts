// The typed face of the addon: checks arguments, names errors. Facts in, no decisions.

import { randomInt } from 'node:crypto'
import { constants } from 'node:os'
import { AddonMissingError, loadAddon } from './addon.ts'
import type { RawAddon, RawCount, RawFailure, RawKernelObject } from './addon.ts'

/** A refusal of the kernel or of libbpf. A fact, never thrown. */
export interface NativeFailure {
  /** What was tried: open, configure, load, map_ring, attach, read_iterator, read_map, … */
  operation: string
  /** Positive errno; 1 is EPERM. */
  errno: number
  /** Its name, such as 'EPERM'. */
  code: string
  /** The program it was about; absent when it was about the whole object. */
  program?: string
  /** The end (at most 4 KiB) of what libbpf and the verifier said. */
  detail: string
}

export type AttachType =
  'tp_btf' | 'fentry' | 'fexit' | 'kprobe' | 'kretprobe' | 'tracepoint' | 'iterator' | 'lsm' |
  'cgroup' | 'other'

/** A program of the embedded object. */
export interface ProgramInfo { name: string, section: string, attach_type: AttachType }

/** Sizes and settings, fixed before the object is loaded. */
export interface LoadOptions {
  /** Names of the programs to load; the others are left out. */
  programs: string[]
  /** A power of two, at least one page. */
  ring_bytes: number
  /** Open connections of which the identity is kept, 1 to 2^24. */
  sockets_max: number
  /** Datagram flows that are counted at the same time, 1 to 2^24. Default 65,536. */
  flows_max?: number
  /** Folder of the cgroup v2 whose sockets are seen; '', the default: no cgroup programs. */
  cgroup_dir?: string
  /** A type of file system (as in statfs) that counts as shared by nodes, too. Default 0: none. */
  shared_fs_magic_extra?: number
  /** Vendor of the GPUs on the PCI bus. Default 0x10de: NVIDIA. */
  gpu_pci_vendor?: number
  /** cgroup v2 id that limits what is seen; 0n is the whole node. */
  scope_cgroup_id: bigint
  /** Depth of that cgroup below the root; 0 is the root. */
  scope_cgroup_level: number
  /** A program that sees the accepting process will be attached. */
  accept_visible: boolean
  /** Programs that see connect() return will be attached. */
  connect_visible: boolean
  /** Records that a cgroup may make per second, of each class; 0, the default, is no limit. */
  cgroup_quota_per_s?: number
  /** Like connections of a process to one peer that are told per second; 0, the default: all. */
  connection_repeats_per_s?: number
}

/** Wrong use of this module: a closed object, a bad buffer. Thrown, since it is our own mistake. */
export class NativeError extends Error {
  readonly code: string
  readonly operation: string
  constructor(operation: string, code: string, message: string) {
    super(`${operation}: ${message}`)
    this.name = 'NativeError'
    this.operation = operation
    this.code = code
  }
}

let loaded: RawAddon | undefined

/** Loaded on first use, so that importing this file never fails. */
function addon(): RawAddon {
  loaded ??= loadAddon()
  return loaded
}

/** Every program of the embedded object, in its order. Needs no privilege. */
export function programs(): ProgramInfo[] {
  const list = addon().programs()
  if (!Array.isArray(list)) throw new NativeError('programs', errnoName(list.errno), list.detail)
  return list.map((program) => ({ ...program, attach_type: attachType(program.section) }))
}

/** One moment on CLOCK_BOOTTIME and CLOCK_REALTIME, nanoseconds; undefined without the addon. */
export function clocks(): { bootNs: bigint, wallNs: bigint } | undefined {
  try {
    const [bootNs, wallNs] = addon().clocks()
    return { bootNs, wallNs }
  } catch (error) {
    if (error instanceof AddonMissingError) return undefined
    throw error
  }
}

/** Half of the ways of a set (bpf/lib/network/sockets.bpf.h): at five of eight some get full. */
const socketsPerSet = 4

/**
 * The probes in the kernel, and the ring they write to. Belongs to one thread. Everything is
 * detached and freed by close(), by the garbage collector, or when its worker thread ends.
 */
export class KernelObject {
  readonly #raw: RawKernelObject
  #open = true

  private constructor(raw: RawKernelObject) {
    this.#raw = raw
  }

  /** Creates the maps and loads the named programs; all or nothing. Nothing is attached yet. */
  static load(options: LoadOptions): { object?: KernelObject, failure?: NativeFailure } {
    checkOptions(options)
    const { cgroup_quota_per_s: quota = 0, connection_repeats_per_s: told = 0 } = options
    const sets = Math.ceil(options.sockets_max / socketsPerSet)
    const raw = new (addon().KernelObject)()
    // Their names are those of the `const volatile` variables in bpf/lib/maps.bpf.h.
    const settings = [
      'scope_cgroup_id', options.scope_cgroup_id,
      'scope_cgroup_level', BigInt(options.scope_cgroup_level),
      'accept_visible', BigInt(options.accept_visible),
      'connect_visible', BigInt(options.connect_visible),
      'socket_sets', BigInt(sets),
      'quota_per_s', BigInt(quota),
      'quota_cost_ns', BigInt(Math.round(1e9 / Math.max(1, quota))),
      'repeats_told', BigInt(told),
      'repeats_seed', BigInt(randomInt(2 ** 32)),
      'shared_fs_magic_extra', BigInt(options.shared_fs_magic_extra ?? 0),
      'gpu_pci_vendor', BigInt(options.gpu_pci_vendor ?? 0x10de),
    ]
    const { flows_max: flowsMax = 65_536, cgroup_dir: cgroupDir = '' } = options
    const failure = raw.load(options.programs, options.ring_bytes, sets, settings,
      flowsMax, cgroupDir)
    if (failure) return { failure: named(failure) }
    return { object: new KernelObject(raw) }
  }

  /**
   * Switches the kernel's run-time statistics on until the returned function is called. They cost
   * about 20 ns per run of any program on the node: for benches only.
   */
  static enableStats(): (() => void) | NativeFailure {
    const fd = addon().enableStats()
    if (fd < 0) return failureOf('enable_stats', -fd)
    return () => addon().disableStats(fd)
  }

  /**
   * Loads more programs beside those that run: they share its maps and settings. All or nothing;
   * undefined is success. Programs that were loaded before stay as they are either way.
   */
  extend(programs: readonly string[]): NativeFailure | undefined {
    this.#checkOpen('extend')
    const failure = this.#raw.extend([...programs])
    return failure && named(failure)
  }

  /** Attaches a loaded program; undefined is success, also when it was attached before. */
  attach(program: string): NativeFailure | undefined {
    this.#checkOpen('attach')
    const failure = this.#raw.attach(program)
    return failure && named(failure)
  }

  /** Does nothing when it is not attached. */
  detach(program: string): void {
    this.#checkOpen('detach')
    this.#raw.detach(program)
  }

  /**
   * Moves whole records, back to back and 8-byte aligned, into `buffer` (its length a multiple of
   * 8). Returns the bytes filled; 0 is an empty ring. Never blocks. Throws NativeError ENOBUFS
   * when the next record is longer than the buffer, EINVAL when the buffer is unusable.
   */
  readRing(buffer: ArrayBuffer): number {
    const bytes = this.#raw.readRing(buffer)
    if (bytes < 0) throw misuse('read_ring', -bytes)
    return bytes
  }

  /**
   * Runs an iterator program, to its end across calls; whole records as readRing. 0 is the end of
   * this run: the next call begins another. An `iter/bpf_map_elem` program named `X_iter` walks the
   * map `X`. Throws NativeError as readRing.
   */
  readIterator(program: string, buffer: ArrayBuffer): number | NativeFailure {
    this.#checkOpen('read_iterator')
    const bytes = this.#raw.readIterator(program, buffer)
    if (bytes >= 0) return bytes
    const code = errnoName(-bytes)
    if (code === 'EINVAL' || code === 'ENOBUFS') throw misuse('read_iterator', -bytes)
    return failureOf('read_iterator', -bytes, program)
  }

  /**
   * Since the load, by kind number; kinds with nothing counted are left out. `over_quota` is the
   * part of `lost` that was over the quota of a cgroup.
   */
  counters(): RawCount[] {
    return listed('counters', this.#raw.counters())
  }

  /** Failures counted in the kernel, by name, since the load. */
  faults(): Record<string, number> {
    const list = listed('faults', this.#raw.faults())
    return Object.fromEntries(list.map((fault) => [fault.name, fault.count]))
  }

  /** Bytes that wait in the ring, its own 8 bytes per record included. */
  ringPending(): number {
    this.#checkOpen('ring_pending')
    return this.#raw.ringPending()
  }

  /** Of the loaded programs. Counts and times are 0 unless enableStats is on. */
  programStats(): { name: string, id: number, run_count: number, run_time_ns: number }[] {
    this.#checkOpen('program_stats')
    return this.#raw.programStats()
  }

  /**
   * Sets an entry of a map that the agent fills, or removes it (no value; one that is not there is
   * no failure). Key and value must have the sizes of the map. undefined is success.
   */
  setEntry(map: string, key: Uint8Array, value?: Uint8Array): NativeFailure | undefined {
    this.#checkOpen('set_entry')
    const failure = this.#raw.setEntry(map, key, value)
    return failure && named(failure)
  }

  /** Kernel memory of all maps, bytes. */
  mapBytes(): number {
    this.#checkOpen('map_bytes')
    return this.#raw.mapBytes()
  }

  /** Detaches and frees everything. May be called twice. */
  close(): void {
    this.#open = false
    this.#raw.close()
  }

  #checkOpen(operation: string): void {
    if (!this.#open) throw misuse(operation, constants.errno.EBADF)
  }
}

const errnoNames = new Map(Object.entries(constants.errno).map(([name, value]) => [value, name]))
// Only inside the kernel, but BPF calls return it: "not supported".
errnoNames.set(524, 'ENOTSUPP')

/** 'EPERM' for 1. */
function errnoName(errno: number): string {
  return errnoNames.get(errno) ?? `E${errno}`
}

function named(failure: RawFailure): NativeFailure {
  return { ...failure, code: errnoName(failure.errno), detail: failure.detail.trimEnd() }
}

function failureOf(operation: string, errno: number, program?: string): NativeFailure {
  return named({ operation, errno, ...(program ? { program } : {}), detail: '' })
}

function misuse(operation: string, errno: number): NativeError {
  const code = errnoName(errno)
  const texts: Record<string, string> = {
    EBADF: 'the kernel object is closed',
    EINVAL: 'the buffer must be an ArrayBuffer in use, its length a multiple of 8 and not 0',
    ENOBUFS: 'the buffer is smaller than one record: give at least 4,096 bytes',
  }
  return new NativeError(operation, code, texts[code] ?? code)
}

function listed<T>(operation: string, result: T[] | RawFailure): T[] {
  if (Array.isArray(result)) return result
  throw new NativeError(operation, errnoName(result.errno), result.detail)
}

function attachType(section: string): AttachType {
  const prefix = section.split('/')[0].replace(/\.s$/, '')
  const types: Record<string, AttachType> = {
    tp_btf: 'tp_btf', fentry: 'fentry', fexit: 'fexit', kprobe: 'kprobe', kretprobe: 'kretprobe',
    tracepoint: 'tracepoint', tp: 'tracepoint', iter: 'iterator', lsm: 'lsm',
    cgroup: 'cgroup', cgroup_skb: 'cgroup',
  }
  return types[prefix] ?? 'other'
}

function checkOptions(options: LoadOptions): void {
  const { programs: names, ring_bytes: ringBytes, sockets_max: socketsMax } = options
  const bad = (what: string): never => {
    throw new NativeError('load', 'EINVAL', what)
  }
  if (!names.every((name) => typeof name === 'string' && name !== '')) bad('a program has no name')
  if (new Set(names).size !== names.length) bad('a program is named twice')
  if (!Number.isInteger(Math.log2(ringBytes)) || ringBytes < 4096 || ringBytes > 2 ** 30) {
    bad(`ring_bytes is ${ringBytes}; it must be a power of two from 4096 to 2^30`)
  }
  if (!Number.isInteger(socketsMax) || socketsMax < 1 || socketsMax > 2 ** 24) {
    bad(`sockets_max is ${socketsMax}; it must be 1 to 2^24`)
  }
  const flowsMax = options.flows_max ?? 1
  if (!Number.isInteger(flowsMax) || flowsMax < 1 || flowsMax > 2 ** 24) {
    bad(`flows_max is ${flowsMax}; it must be 1 to 2^24`)
  }
  for (const key of ['cgroup_quota_per_s', 'connection_repeats_per_s'] as const) {
    const value = options[key] ?? 0
    if (Number.isInteger(value) && value >= 0 && value <= 1e9) continue
    bad(`${key} is ${value}; it must be a whole number from 0 to 10^9`)
  }
  if (options.scope_cgroup_id < 0n || options.scope_cgroup_id >= 1n << 64n) {
    bad(`scope_cgroup_id is ${options.scope_cgroup_id}; it must fit 64 bits`)
  }
  if (!Number.isInteger(options.scope_cgroup_level) || options.scope_cgroup_level < 0) {
    bad(`scope_cgroup_level is ${options.scope_cgroup_level}; it must be 0 or more`)
  }
}
