// What holds a rig together on this machine: a folder and a cgroup, both named after the process
// that runs it, so that the next run can take away what a killed one left.

import {
  chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { readKernelFacts } from '../../../agent/probes/kernel-facts.ts'

const PREFIX = 'vedette-rig'
const OWN = new RegExp(`^${PREFIX}-(\\d+)-(\\d+)-`)
/** A killed process is gone in milliseconds; this is for a machine that stands still. */
const REMOVE_MS_MAX = 20_000

/** Where one rig lives. */
export interface Machine {
  /** Such as `vedette-rig-4711-123456-1`, also the name of the cgroup. */
  name: string
  /** Folder for data, keys and sockets. */
  dir: string
  /** Of all that the rig starts: its path in the file system. */
  cgroup: string
}

let made = 0

/** Why a rig cannot run here; '' when it can. */
export function whyNoRig(): string {
  if (process.getuid?.() !== 0) return 'the cluster rig needs root'
  const { cgroup2 } = readKernelFacts()
  if (cgroup2 === '') return 'the cluster rig needs cgroup v2: mount -t cgroup2 none DIR'
  const programs = [
    '/usr/sbin/sshd', '/usr/bin/ssh', '/usr/bin/ssh-keygen', '/usr/bin/socat', '/usr/bin/curl',
    '/usr/bin/redis-server', '/usr/bin/nc', '/usr/bin/nsenter', '/usr/bin/setpriv',
  ]
  const missing = programs.filter((path) => !existsSync(path))
  return missing.length === 0 ? ''
    : `the cluster rig needs ${missing.join(', ')}: bash tools/setup.sh --test`
}

/** Takes away what killed runs left, and makes the folder and the cgroup of a new one. */
export async function openMachine(): Promise<Machine> {
  const { cgroup2 } = readKernelFacts()
  for (const name of readdirSync(cgroup2).filter(isStale)) await removeCgroup(join(cgroup2, name))
  for (const name of readdirSync(tmpdir()).filter(isStale)) {
    rmSync(join(tmpdir(), name), { recursive: true, force: true })
  }
  const name = `${PREFIX}-${process.pid}-${startTicks(process.pid)}-${++made}`
  const cgroup = join(cgroup2, name)
  mkdirSync(cgroup)
  const dir = mkdtempSync(join(tmpdir(), `${name}-`))
  // Users of the nodes run programs that are compiled into it.
  chmodSync(dir, 0o711)
  return { name, cgroup, dir }
}

/** Ends all that still runs in it, and removes it. */
export async function closeMachine({ dir, cgroup }: Machine): Promise<void> {
  await removeCgroup(cgroup)
  rmSync(dir, { recursive: true, force: true })
}

/** Made by a process that is gone: its pid is free, or another process has it. */
function isStale(name: string): boolean {
  const [, pid, ticks] = OWN.exec(name) ?? []
  return pid !== undefined && startTicks(Number(pid)) !== ticks
}

/** Start of a process in clock ticks since boot; '' when there is none. */
function startTicks(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
  } catch {
    return ''
  }
}

async function removeCgroup(path: string): Promise<void> {
  writeFileSync(join(path, 'cgroup.kill'), '1')
  const end = performance.now() + REMOVE_MS_MAX
  while (!removeTree(path)) {
    if (performance.now() > end) {
      const procs = readFileSync(join(path, 'cgroup.procs'), 'utf8').replaceAll('\n', ' ')
      throw new Error(`${path} cannot be removed; processes in it: ${procs}`)
    }
    await sleep(20)
  }
}

function removeTree(path: string): boolean {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory() && !removeTree(join(path, entry.name))) return false
  }
  try {
    rmdirSync(path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EBUSY') return false
    throw error
  }
}
