// Are the stores of the policy found on this node? For `vedette doctor`.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { StoreRule } from '../../stores/rule.ts'
import { AgentError } from '../errors.ts'
import type { DoctorFact } from '../self/doctor-fact.ts'
import { readLoops } from './roots/loops.ts'
import { MountNamespaces } from './roots/namespaces.ts'
import { findRoots } from './roots/roots.ts'
import type { Resolution } from './roots/roots.ts'
import { readSaved, savedName } from './saved.ts'

export interface ExamineOptions {
  /** Data folders of agents; the first that knows of stores counts. */
  dataDirs: readonly string[]
  timeoutMs?: number
  /** Other folders for tests. */
  procDir?: string
  sysDir?: string
}

const rootsShown = 3

/** Looks for the stores once, as the agent was told of them last. None: one fact that says so. */
export async function examineStores(options: ExamineOptions): Promise<DoctorFact[]> {
  const { dataDirs, timeoutMs = 10_000, procDir, sysDir } = options
  const dir = dataDirs.find((one) => existsSync(join(one, savedName)))
  if (dir === undefined) {
    return [{
      name: 'stores', state: 'waiting', lost: '', fix: '',
      detail: 'no agent was told of any here (--data names its folder)',
    }]
  }
  try {
    const { rules } = readSaved(dir)
    let waitsFor = 'what is mounted'
    const found = (async () => {
      const { namespaces, refused } = await new MountNamespaces({ procDir }).look()
      const asking = (_: string, path: string): void => { waitsFor = path }
      const around = { namespaces, loops: await readLoops(sysDir), asking }
      return judgeStores(rules, await findRoots(rules, around), refused)
    })()
    return await Promise.race([found, sleep(timeoutMs, undefined, { ref: false }).then(() => [{
      name: 'stores', state: 'missing' as const, lost: 'who reads stores that come from now on',
      detail: `looking at ${waitsFor} takes more than ${timeoutMs / 1000} s`,
      fix: 'look at its file server',
    }])])
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    return [{
      name: 'stores', state: 'missing', detail: error.message, fix: '',
      lost: 'stores, until the correlator tells them again',
    }]
  }
}

/** Judges what was found. `refused`: processes whose mounts may not be seen. Pure. */
export function judgeStores(
  rules: readonly StoreRule[], { roots, problems }: Resolution, refused: number,
): DoctorFact[] {
  const facts = rules.map(({ name }): DoctorFact => {
    const own = roots.filter(({ store }) => store === name)
    const wrong = problems.filter(({ store }) => store === name)
    const places = own.slice(0, rootsShown).map(({ path, fs_type: type }) => `${path} (${type})`)
    const more = own.length > rootsShown ? [`and ${own.length - rootsShown} more`] : []
    const lost = wrong.map(({ path, reason }) => `${path}: ${reason}`).join('; ')
    const state = wrong.length === 0 ? own.length > 0 ? 'have' : 'waiting'
      : own.length > 0 ? 'degraded' : 'missing'
    const detail = [...places, ...more].join(', ') || 'not on this node'
    return { name: `store ${name}`, state, detail, lost, fix: '' }
  })
  if (rules.length === 0 || refused === 0) return facts
  return [...facts, {
    name: 'mounts of others', state: 'degraded',
    detail: `${refused} processes do not let their mounts be seen`,
    lost: 'file systems of stores that only their mount namespaces have',
    fix: 'CAP_SYS_PTRACE, and the pid namespace of the host',
  }]
}
