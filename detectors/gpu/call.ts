/** What was asked of a GPU's driver, and whether that is part of ordinary work. */
import type { Context } from '../../detect/context.ts'
import type { LineageProcess } from '../../detect/lineage.ts'
import { commandFacts } from '../../gpu/commands/facts.ts'
import type { CommandFacts, Sensitivity } from '../../gpu/commands/facts.ts'
import type { EventViews } from '../../proto/gen/events.ts'

export type CallEvent = EventViews['gpu_call']

export interface Call {
  /** `GPU_SET_ECC_CONFIGURATION`, or numbers where no table knows it. */
  name: string
  who: CommandFacts['who']
  /** By the aim of this call. */
  sensitivity: Sensitivity
  /** It aims at another process. */
  foreign: boolean
  /** Programs that use GPUs together do it, too: only who may use none should not. */
  ordinary: boolean
}

const RS_ACCESS_DEBUG = 4
/** Access types of RM_ACCESS_REGISTRY (nvos.h, NVOS38): of doublewords and binary values. */
const registryReads = new Set([1, 6])
const ESCAPE_RM_SHARE = 0x35
const ESCAPE_RM_ACCESS_REGISTRY = 0x4d

/**
 * Sensitive by themselves, and part of compute: memory shared between GPUs, processes and network
 * cards, and what CUDA does at its start. By gVisor's nvproxy (version.go): it lets these pass.
 */
const ordinaryControls = new Set([0x0d04, 0x3d05, 0x3d06, 0x3d0b, 0x3d0c, 0x0d08, 0xe00101,
  0xe00102, 0xf10003, 0xfd0106, 0x503c0102, 0x503c0104, 0x503c0106, 0x20802210, 0xc56f010b,
  0x20800112])
const ordinaryClasses = new Set([0xe0, 0xf8, 0xf9, 0xfb, 0x503c, 0xcb33, 0x900e, 0xdb])
const ordinaryRmEscapes = new Set([0x35, 0x5c, 0x5d, 0xd9])
const ordinaryUvmEscapes = new Set([0x4e])

/** Null: the call says nothing that matters. */
export function callOf(event: CallEvent): Call | null {
  const { call_kind: kind, family, escape, command, driver_branch: branch } = event
  if (kind === 'open' || kind === 'mmap') return null
  const facts = commandFacts(branch, kind, family, escape, command)
  if (facts === undefined) return null
  const foreign = event.target_pid !== 0 && event.target_pid !== event.pid
  return {
    name: event.command_name || facts.name, who: facts.who, foreign,
    sensitivity: foreign ? facts.sensitivity_foreign : sensitivityOf(event, facts),
    ordinary: !foreign && isOrdinary(kind, family, escape, command),
  }
}

function sensitivityOf(event: CallEvent, { sensitivity }: CommandFacts): Sensitivity {
  if (event.call_kind !== 'escape' || !event.family.startsWith('nvidia')) return sensitivity
  const isRm = event.family === 'nvidia' || event.family === 'nvidiactl'
  if (!isRm || !event.has_value) return sensitivity
  if (event.escape === ESCAPE_RM_ACCESS_REGISTRY && registryReads.has(event.value)) return 'low'
  return sensitivity
}

function isOrdinary(kind: string, family: string, escape: number, command: number): boolean {
  switch (kind) {
    case 'control': return ordinaryControls.has(command)
    case 'alloc': return ordinaryClasses.has(command)
    default:
      if (family === 'gdrdrv') return true
      return family.startsWith('nvidia_uvm') ? ordinaryUvmEscapes.has(escape)
        : (family === 'nvidia' || family === 'nvidiactl') && ordinaryRmEscapes.has(escape)
  }
}

/** It lets others debug it: they can then read and write all that it has on the GPU. */
export function letsDebug(event: CallEvent): boolean {
  return event.call_kind === 'escape' && event.escape === ESCAPE_RM_SHARE &&
    (event.family === 'nvidia' || event.family === 'nvidiactl') && event.has_value &&
    (event.value & RS_ACCESS_DEBUG) !== 0
}

/** RM refuses it to a process without CAP_SYS_ADMIN, or to every process. */
export function isBeyond({ cap_sys_admin }: CallEvent, { who }: Call): boolean {
  return who === 'kernel' || (who === 'privileged' && !cap_sys_admin)
}

/** The process that the call aims at; null when it is not another one, or not known. */
export function targetOf(event: CallEvent, context: Context): LineageProcess | null {
  const { process } = context
  if (process === null || event.target_pid === 0 || event.target_pid === event.pid) return null
  return context.processBeside(process, event.target_pid, event.target_start_time)
}
