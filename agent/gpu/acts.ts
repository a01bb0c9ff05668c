// Who did something lately that may change the state of GPUs. Bounded: one entry per process and
// act, so many per kind, the oldest leaves.

import type { RecordBuffer } from '../../proto/columns.ts'
import {
  gpuDeviceFamilyNames, kernelModuleActionNames, kindInfos, recordHeader, recordOffsets,
} from '../../proto/gen/events.ts'
import type { Process } from '../../proto/gen/events.ts'
import type { ProcessFactsOf } from '../../proto/process-table.ts'
import { longAt, processOf, textAt } from '../enrich/record-fields.ts'

/** Something that a process did. */
export interface Act {
  kind: ActKind
  /** In words, such as 'load nvidia'. */
  action: string
  /** Nanoseconds since boot. */
  time: bigint
  process: Partial<Process>
}

export type ActKind = typeof actKinds[number]

/** What a call of the driver is: its name, and whether it may change a state. */
export interface CallFacts { name: string, sensitive: boolean }

export interface ActsOptions {
  factsOf: ProcessFactsOf
  /** About the gpu_call record at `at`. Default: what its own fields say. */
  callFacts?(record: RecordBuffer, at: number): CallFacts
  /** Own process: reading the state opens devices, too. Default this one. */
  ownPid?: number
}

const actKinds = ['kernel_module', 'firmware_load', 'driver_setting', 'gpu_call',
  'gpu_device_open'] as const
const kindOf = new Map(actKinds.map((kind) =>
  [kindInfos.find((info) => info.kind === kind)!.number, kind]))
const actsPerKindMax = 64
/** An act that is longer ago is not named for a change. */
const ageMaxNs = 120_000_000_000n

/** Modules and firmware of others may taint the kernel; they do nothing to GPUs. */
const ofGpus: Partial<Record<ActKind, RegExp>> = {
  kernel_module: /^\w+ (nvidia|gdrdrv$|nouveau$)/,
  firmware_load: /nvidia/,
}

/** By subject: which acts may be behind a change of it; '' is everything else. */
const fitting: Record<string, readonly ActKind[]> = {
  host: ['driver_setting', 'kernel_module'],
  driver: ['kernel_module', 'driver_setting', 'gpu_call'],
  firmware: ['firmware_load', 'driver_setting', 'kernel_module'],
  // Files only: nobody watches who writes them.
  toolkit: [],
  '': ['gpu_call', 'driver_setting', 'kernel_module', 'firmware_load'],
}

/** The recent acts. */
export class Acts {
  readonly #options: ActsOptions
  readonly #byKind = new Map<ActKind, Map<string, Act>>()
  /** Acts that left before they were too old to be named. */
  forgotten = 0

  constructor(options: ActsOptions) {
    this.#options = options
  }

  /** Remembers the record at `at` when it is an act; the kind then, if GPUs may be touched. */
  observe(record: RecordBuffer, at: number, kindNumber: number): ActKind | undefined {
    const kind = kindOf.get(kindNumber)
    if (kind === undefined) return undefined
    const pid = record.u32[(at + recordHeader.pid) >> 2]
    if (pid === (this.#options.ownPid ?? process.pid)) return undefined
    const action = this.#actionOf(kind, record, at)
    if (action === undefined) return undefined
    this.#remember({
      kind, action, time: longAt(record, at + recordHeader.time),
      process: processOf(record, at, this.#options.factsOf),
    })
    return isOfGpus(kind, action) ? kind : undefined
  }

  /** The latest act that may be behind a change that was seen at `now`; undefined: nobody known. */
  actorOf(subject: string, now: bigint): Act | undefined {
    const kinds = fitting[subject] ?? fitting['']
    const any = subject === 'host'
    return this.#latest(kinds, now, any) ??
      // An administrator's tool may work through calls that are not seen.
      (kinds.includes('gpu_call') ? this.#latest(['gpu_device_open'], now, any) : undefined)
  }

  #latest(kinds: readonly ActKind[], now: bigint, any: boolean): Act | undefined {
    const acts = kinds.flatMap((kind) => [...this.#byKind.get(kind)?.values() ?? []])
      .filter(({ time }) => time <= now && now - time <= ageMaxNs)
      .filter(({ kind, action }) => any || isOfGpus(kind, action))
    return acts.reduce<Act | undefined>(
      (latest, act) => !latest || act.time > latest.time ? act : latest, undefined)
  }

  #remember(act: Act): void {
    const acts = this.#byKind.get(act.kind) ?? new Map<string, Act>()
    if (acts.size === 0) this.#byKind.set(act.kind, acts)
    const key = `${act.process.pid} ${act.process.start_time} ${act.action}`
    acts.delete(key)
    if (acts.size >= actsPerKindMax) {
      const [oldest] = acts
      acts.delete(oldest[0])
      if (act.time - oldest[1].time <= ageMaxNs) this.forgotten++
    }
    acts.set(key, act)
  }

  /** What was done, in words; undefined when it changes nothing. */
  #actionOf(kind: ActKind, record: RecordBuffer, at: number): string | undefined {
    switch (kind) {
      case 'kernel_module': {
        const offsets = recordOffsets.kernel_module
        const action = kernelModuleActionNames[record.u8[at + offsets.action]] ?? ''
        if (action === 'refused') return undefined
        return `${action} ${textAt(record, at + offsets.module, 56)}`
      }
      case 'firmware_load':
        return textAt(record, at + recordOffsets.firmware_load.firmware, 128)
      case 'driver_setting': {
        const { setting, value } = recordOffsets.driver_setting
        return `${textAt(record, at + setting, 256)} = ${textAt(record, at + value, 128)}`.trim()
      }
      case 'gpu_call': {
        const { callFacts = factsOfCall } = this.#options
        const { name, sensitive } = callFacts(record, at)
        return sensitive ? name : undefined
      }
      case 'gpu_device_open': {
        const offsets = recordOffsets.gpu_device_open
        if (record.u8[at + offsets.cap_sys_admin] === 0) return undefined
        return `open ${gpuDeviceFamilyNames[record.u8[at + offsets.family]] ?? ''}`.trimEnd()
      }
    }
  }
}

function isOfGpus(kind: ActKind, action: string): boolean {
  return ofGpus[kind]?.test(action) ?? true
}

/** The probe reads the value of calls that set a state. */
function factsOfCall({ u8, u32 }: RecordBuffer, at: number): CallFacts {
  const { command, escape, has_value: value, changed_underway: changed } = recordOffsets.gpu_call
  const number = u32[(at + command) >> 2] || u32[(at + escape) >> 2]
  return {
    name: `0x${number.toString(16).padStart(8, '0')}`,
    sensitive: u8[at + value] !== 0 || u8[at + changed] !== 0,
  }
}
