import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { DrillError } from './drill.ts'
import type { Drill, DrillContext, DrillOutcome } from './drill.ts'
import { jobCgroups } from './job-cgroups.ts'
import type { JobCgroup } from './job-cgroups.ts'
import { firstRdmaDevice } from './rdma-device.ts'

const PROGRAM = 'ibv_rc_pingpong'
/** The two ends agree over loopback at this port. */
const PORT = '18515'
const TRIES_MAX = 20
const TRY_PAUSE_MS = 250
/** Numbers that no Slurm gives: it begins again before them. */
const JOBS = ['4294900001', '4294900002']

/** Two processes of different jobs talk RDMA to each other. */
export const rdmaPeer: Drill = {
  name: 'rdma-peer',
  title: 'RDMA between two jobs that have nothing to do with each other',
  raises: 'NET-011',
  attack: ['T1021', 'T1570'],
  safe: `Both ends are ${PROGRAM} on an RDMA device of this machine, which sends itself 4 KiB; ` +
    'the jobs are two cgroups of the drill with names as Slurm gives them, removed at the end.',
  needs: ['root', 'an RDMA device', PROGRAM],
  async run(context) {
    if (process.getuid?.() !== 0) {
      throw new DrillError('the drill makes cgroups and needs root: run it with sudo')
    }
    const device = firstRdmaDevice()
    const words = ['-d', device.name, ...device.gidWords, '-n', '4', '-s', '1024', '-p', PORT]
    const [a, b] = jobCgroups(JOBS)
    const children: ChildProcess[] = []
    try {
      return await talk(a, b, words, context, children)
    } finally {
      for (const child of children) child.kill('SIGKILL')
      await Promise.all(children.map((child) => child.exitCode ?? child.signalCode ??
        once(child, 'exit')))
      for (const cgroup of [a, b]) await cgroup.remove()
    }
  },
}

async function talk(
  a: JobCgroup, b: JobCgroup, words: string[], { say, signal }: DrillContext,
  children: ChildProcess[],
): Promise<DrillOutcome> {
  const server = startIn(a, words, children)
  say(`process ${server.pid} of job ${a.job} waits on ${words[1]}`)
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    signal.throwIfAborted()
    const client = startIn(b, [...words, '127.0.0.1'], children)
    const [code] = await once(client, 'exit') as [number | null]
    if (code === 0) {
      say(`process ${client.pid} of job ${b.job} sent it 4 KiB`)
      return {
        zones: [],
        done: { device: words[1], server_pid: server.pid ?? 0, client_pid: client.pid ?? 0 },
      }
    }
    if (server.exitCode !== null) break
    // The server needs a moment until it listens.
    await sleep(TRY_PAUSE_MS, undefined, { signal })
  }
  throw new DrillError(`${PROGRAM} could not connect over ${words[1]}; try it by hand: ` +
    `${PROGRAM} ${words.join(' ')}`)
}

function startIn(cgroup: JobCgroup, words: string[], children: ChildProcess[]): ChildProcess {
  // The shell enters the cgroup and becomes the program.
  const line = 'echo $$ > "$0" && exec "$@"'
  const child = spawn('/bin/sh', ['-c', line, cgroup.procs, PROGRAM, ...words], { stdio: 'ignore' })
  child.on('error', () => undefined)
  children.push(child)
  return child
}
