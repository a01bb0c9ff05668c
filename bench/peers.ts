// Other monitors of TCP connections, from Debian's packages, run as their authors mean them to be
// run: printing every event. Those that this kernel refuses or that are not installed are left out.

import { spawn } from 'node:child_process'
import {
  accessSync, closeSync, constants, openSync, readdirSync, readFileSync, rmSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { cpuSecondsOf } from './process-cost.ts'
import { endWithUs } from './rig.ts'

export interface Peer {
  name: string
  command: string[]
  /** Lines that it prints for one connection of storm.c. */
  linesPerConnection: number
}

/** One line per change of state, as our probe sees it, with the same tracepoint. */
const bpftraceProgram = 'tracepoint:sock:inet_sock_set_state { ' +
  'printf("%d %s %s:%d %s:%d %d %d\\n", ' +
  'pid, comm, ntop(args->saddr), args->sport, ntop(args->daddr), args->dport, ' +
  'args->oldstate, args->newstate); }'

/** storm.c makes 6 changes of state per connection, and two ends of a life. */
export const peers: readonly Peer[] = [
  { name: 'bpftrace', command: ['bpftrace', '-e', bpftraceProgram], linesPerConnection: 6 },
  { name: 'tcpstates', command: ['tcpstates'], linesPerConnection: 6 },
  { name: 'tcplife', command: ['tcplife'], linesPerConnection: 2 },
]

export function isInstalled({ command }: Peer): boolean {
  return ['/usr/sbin', '/usr/bin', '/usr/local/bin'].some((folder) => {
    try {
      accessSync(join(folder, command[0]), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

export interface RunningPeer {
  /** Lines about storm.c so far. What it still holds in its buffers is not in yet. */
  lines(): number
  cpuSeconds(): number
  /** Runs of its programs; 0 unless the kernel's statistics are on. */
  runs(): { count: number, ns: number }
  /** Asks it to end as a user does, and waits until its probes are gone. */
  stop(): Promise<void>
}

/** Starts it and waits until it is attached; undefined when it ends instead. */
export async function startPeer(peer: Peer, folder: string): Promise<RunningPeer | undefined> {
  const path = join(folder, `${peer.name}.out`)
  const output = openSync(path, 'w')
  const child = spawn(peer.command[0], peer.command.slice(1), { stdio: ['ignore', output, output] })
  closeSync(output)
  const pid = child.pid as number
  const ended = new Promise<void>((resolve) => void child.on('close', () => resolve()))
  child.on('error', () => {})
  endWithUs(child)
  for (let waited = 0; !isAttached(pid); waited++) {
    if (child.exitCode !== null || waited > 200) return undefined
    await sleep(50)
  }
  await sleep(200)
  return {
    lines: () => readFileSync(path, 'latin1').split('storm').length - 1,
    cpuSeconds: () => cpuSecondsOf(pid),
    runs: () => runsOf(pid),
    stop: async () => {
      child.kill('SIGINT')
      const timer = setTimeout(() => child.kill('SIGKILL'), 5000)
      await ended
      clearTimeout(timer)
      rmSync(path)
    },
  }
}

function isAttached(pid: number): boolean {
  return fdInfos(pid).some((info) => info.includes('prog_id:'))
}

/** The kernel says so in /proc for every program that a process holds. */
function runsOf(pid: number): { count: number, ns: number } {
  const sum = { count: 0, ns: 0 }
  for (const info of fdInfos(pid)) {
    sum.count += Number(/^run_cnt:\s*(\d+)/m.exec(info)?.[1] ?? 0)
    sum.ns += Number(/^run_time_ns:\s*(\d+)/m.exec(info)?.[1] ?? 0)
  }
  return sum
}

function fdInfos(pid: number): string[] {
  try {
    const folder = `/proc/${pid}/fdinfo`
    return readdirSync(folder).map((fd) => readFileSync(join(folder, fd), 'latin1'))
  } catch {
    // It ended, or closed one in between.
    return []
  }
}
