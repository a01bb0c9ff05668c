// Calls of GPU drivers on their way through the agent: the numbers of devices that the probes need,
// and the names of commands, which depend on the driver.

import { readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { branchOf, commandFacts, escapeFacts } from '../../gpu/commands/facts.ts'
import type { NativeFailure } from '../../native/index.ts'
import type { RecordBuffer } from '../../proto/columns.ts'
import {
  gpuCallKindNames, gpuDeviceFamilyNames, kindInfos, recordOffsets,
} from '../../proto/gen/events.ts'
import type { ProbeState } from '../../proto/gen/events.ts'
import type { CallFacts } from './acts.ts'
import { GpuDeviceNumbers } from './device-numbers.ts'
import type { MapKernel } from './device-numbers.ts'

/** Text fields of a gpu_call event. */
export type CallTexts =
  Partial<Record<'escape_name' | 'command_name' | 'driver_branch', string>>

export interface GpuCallsOptions {
  /** Absent: no probe is loaded. */
  kernel: MapKernel | undefined
  /** Root of the node's file system. */
  root: string
  /** Probes of modules are tried again: LateProbes.look. */
  lookLate(): readonly ProbeState[]
  /** A probe changed. */
  changed(state: ProbeState): void
  /** The kernel refuses the numbers of devices; said by whoever takes it. */
  failed(failure: NativeFailure): void
}

const callNumber = kindInfos.find(({ kind }) => kind === 'gpu_call')!.number
const moduleNumber = kindInfos.find(({ kind }) => kind === 'kernel_module')!.number
const offsets = recordOffsets.gpu_call
/** Different calls of which the names are kept; then all are looked up anew. */
const namesMax = 4096
/** After a module was loaded: its devices appear while it starts. */
const looksAfterMs = [50, 500, 3000]

/** What both halves of the product call a driver's command, for the records of one node. */
export class GpuCalls {
  readonly #options: GpuCallsOptions
  readonly #numbers: GpuDeviceNumbers | undefined
  readonly #texts = new Map<string, CallTexts>()
  #branch = ''
  #timers: NodeJS.Timeout[] = []

  constructor(options: GpuCallsOptions) {
    this.#options = options
    this.#numbers = options.kernel && new GpuDeviceNumbers(options.kernel, options.root)
    this.#readNode()
  }

  /** Device numbers that the map of the probes has no room for. */
  get numbersLeftOut(): number { return this.#numbers?.left_out ?? 0 }

  /** Driver and devices are read again, and the probes of modules tried; those that changed. */
  readonly look = (): readonly ProbeState[] => {
    this.#readNode()
    return this.#options.lookLate()
  }

  /** The names of a gpu_call record; undefined for others. A load of a module is looked into. */
  readonly textsOf = (record: RecordBuffer, at: number, kind: number): CallTexts | undefined => {
    if (kind === moduleNumber) this.#lookSoon()
    return kind === callNumber ? this.#textsOfCall(record, at) : undefined
  }

  /** What the gpu_call record at `at` is, for whoever asks who changed a state. */
  readonly callFacts = (record: RecordBuffer, at: number): CallFacts => {
    const { callKind, family, escape, command } = partsOf(record, at)
    const facts = commandFacts(this.#branch, callKind, family, escape, command)
    const texts = this.#textsOfCall(record, at)
    const name = texts.command_name ?? texts.escape_name ?? ''
    const weighty = facts?.sensitivity === 'high' || facts?.sensitivity === 'medium'
    return { name, sensitive: weighty || record.u8[at + offsets.has_value] === 1 }
  }

  stop(): void {
    this.#timers.forEach(clearTimeout)
    this.#timers = []
  }

  #readNode(): void {
    const failure = this.#numbers?.refresh()
    if (failure) this.#options.failed(failure)
    if (this.numbersLeftOut > 0) this.#options.failed(tooMany(this.numbersLeftOut))
    const branch = branchOf(textOf(join(this.#options.root, 'sys/module/nvidia/version')).trim())
    // A driver that was unloaded made the calls that are still on their way.
    if (branch === '' || branch === this.#branch) return
    this.#branch = branch
    this.#texts.clear()
  }

  #lookSoon(): void {
    this.stop()
    this.#timers = looksAfterMs.map((ms) =>
      setTimeout(() => this.look().forEach((state) => this.#options.changed(state)), ms).unref())
  }

  #textsOfCall(record: RecordBuffer, at: number): CallTexts {
    const { callKind, family, escape, command } = partsOf(record, at)
    const key = `${callKind} ${family} ${escape} ${command}`
    const known = this.#texts.get(key)
    if (known) return known
    const branch = this.#branch
    const asked = callKind === 'control' || callKind === 'alloc'
    const found: Required<CallTexts> = {
      escape_name: isIoctl(callKind) ? escapeFacts(branch, family, escape)?.name ?? '' : '',
      command_name: asked
        ? commandFacts(branch, callKind, family, escape, command)?.name ?? '' : '',
      driver_branch: branch,
    }
    const texts = Object.fromEntries(Object.entries(found).filter(([, text]) => text !== ''))
    if (this.#texts.size >= namesMax) this.#texts.clear()
    this.#texts.set(key, texts)
    return texts
  }
}

function tooMany(count: number): NativeFailure {
  return {
    operation: 'set_entry', errno: constants.errno.E2BIG, code: 'E2BIG',
    detail: `${count} device numbers more than fit`,
  }
}

function isIoctl(callKind: string): boolean {
  return callKind === 'control' || callKind === 'alloc' || callKind === 'escape'
}

function partsOf({ u8, u32 }: RecordBuffer, at: number):
{ callKind: string, family: string, escape: number, command: number } {
  return {
    callKind: gpuCallKindNames[u8[at + offsets.call_kind]] ?? '',
    family: gpuDeviceFamilyNames[u8[at + offsets.family]] ?? '',
    escape: u32[(at + offsets.escape) >> 2],
    command: u32[(at + offsets.command) >> 2],
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'latin1').slice(0, 256)
  } catch {
    return ''
  }
}
