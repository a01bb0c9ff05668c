// What a call to a GPU's driver is called, who may make it, and how much it matters; by the branch
// of the driver, since numbers move between branches. Pure.

import { classRows } from './classes.ts'
import { controlRows } from './controls.ts'
import { escapeRows } from './escapes.ts'

/**
 * high: only for those who are allowed; medium: for the expected tools; low: part of ordinary work;
 * telemetry: reads of state; kernel: never from a process.
 */
export type Sensitivity = 'high' | 'medium' | 'low' | 'telemetry' | 'kernel'

export interface CommandFacts {
  name: string
  /** privileged: with CAP_SYS_ADMIN in the initial user namespace; others are refused. */
  who: 'any' | 'privileged' | 'kernel'
  sensitivity: Sensitivity
  /** The same, when the call aims at another process. */
  sensitivity_foreign: Sensitivity
}

/** Branches whose sources the tables were made from. */
export const driverBranches: readonly number[] = [515, 525, 535, 550, 570, 580, 590, 595]

/**
 * Commands with this bit go to the GPU's firmware as they are; no header names them. Used by the
 * tools of the vendor. With the other one as well, for privileged processes alone.
 */
const legacyBit = 0x8000
const legacyPrivilegedBits = 0xc000

/** Commands of this class test and change the hardware; ordinary programs use a listed one. */
const diagnosisClass = 0x208f
const diagnosis: CommandFacts = {
  name: 'SUBDEVICE_DIAG', who: 'any', sensitivity: 'high', sensitivity_foreign: 'high',
}

interface Row extends CommandFacts { first: number, last: number }

const whoOf = { P: 'privileged', N: 'any', K: 'kernel' } as const
const sensitivityOf = {
  H: 'high', M: 'medium', L: 'low', T: 'telemetry', K: 'kernel',
} as const

function table(text: string): ReadonlyMap<number, Row[]> {
  const rows = new Map<number, Row[]>()
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue
    const [number, name, who, branches, own, foreign = own] = line.split(' ')
    const [first, last = Infinity] = branches.split('-').map(Number)
    const row: Row = {
      name, who: whoOf[who as keyof typeof whoOf], first, last,
      sensitivity: sensitivityOf[own as keyof typeof sensitivityOf],
      sensitivity_foreign: sensitivityOf[foreign as keyof typeof sensitivityOf],
    }
    const key = Number.parseInt(number, 16)
    rows.set(key, [...rows.get(key) ?? [], row])
  }
  return rows
}

const controls = table(controlRows)
const classes = table(classRows)
const escapes = {
  rm: table(escapeRows.rm), uvm: table(escapeRows.uvm), nvswitch: table(escapeRows.nvswitch),
  gdrdrv: table(escapeRows.gdrdrv), fs: table(escapeRows.fs),
}

/** The table of a device family (a name of GpuDeviceFamily). */
const tableOfFamily: Readonly<Record<string, keyof typeof escapes>> = {
  nvidia: 'rm', nvidiactl: 'rm', nvidia_uvm: 'uvm', nvidia_uvm_tools: 'uvm',
  nvidia_nvswitch: 'nvswitch', gdrdrv: 'gdrdrv', nvidia_fs: 'fs',
}

/**
 * The branch whose table fits a driver of this version, such as '570' for "575.57.08": the latest
 * that is not newer, or the first. '' when the version says nothing.
 */
export function branchOf(version: string): string {
  const major = /^(\d{3,4})\./.exec(version)?.[1]
  if (!major) return ''
  const known = driverBranches.findLast((branch) => branch <= Number(major))
  return String(known ?? driverBranches[0])
}

function rowOf(rows: ReadonlyMap<number, Row[]> | undefined, key: number, branch: number):
CommandFacts | undefined {
  const row = rows?.get(key)?.find(({ first, last }) => first <= branch && branch <= last)
  if (!row) return undefined
  const { name, who, sensitivity, sensitivity_foreign } = row
  return { name, who, sensitivity, sensitivity_foreign }
}

/** What the ioctl is; `family` is a name of GpuDeviceFamily. undefined when not in the table. */
export function escapeFacts(
  branch: string, family: string, escape: number,
): CommandFacts | undefined {
  const name = Object.hasOwn(tableOfFamily, family) ? tableOfFamily[family] : undefined
  return rowOf(name && escapes[name], escape, branchNumber(branch))
}

/**
 * What is asked. `callKind` and `family` are names as in the event gpu_call; `branch` as of
 * branchOf, '' is the newest. undefined when it is not in the table of this branch: unknown is not
 * bad, most of what drivers are asked is not in it.
 */
export function commandFacts(
  branch: string, callKind: string, family: string, escape: number, command: number,
): CommandFacts | undefined {
  switch (callKind) {
    case 'control':
      return rowOf(controls, command, branchNumber(branch)) ?? legacyFacts(command) ??
        (command >>> 16 === diagnosisClass ? { ...diagnosis } : undefined)
    case 'alloc': return rowOf(classes, command, branchNumber(branch))
    case 'escape': return escapeFacts(branch, family, escape)
    default: return undefined
  }
}

function legacyFacts(command: number): CommandFacts | undefined {
  if (!(command & legacyBit)) return undefined
  const privileged = (command & legacyPrivilegedBits) === legacyPrivilegedBits
  return {
    name: privileged ? 'GSS_LEGACY_PRIVILEGED' : 'GSS_LEGACY',
    who: privileged ? 'privileged' : 'any', sensitivity: 'low', sensitivity_foreign: 'low',
  }
}

function branchNumber(branch: string): number {
  return branch === '' ? driverBranches.at(-1)! : Number(branch)
}
