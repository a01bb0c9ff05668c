// What the probes cost those who are watched: nanoseconds per hook by the kernel's own run-time
// statistics, and how much longer a storm of short connections takes, beside other monitors.
//
// The statistics read the clock around every run: some 20 ns of each figure are theirs, for all.
// A slowdown is the time of the storm with a monitor over that without, the mean of one just before
// and one just after; the monitor's own work happens meanwhile on the other core.

import { spawn } from 'node:child_process'
import { KernelObject } from '../native/index.ts'
import { ScopeCgroup } from '../test/probes/scope-cgroup.ts'
import { median } from './figure.ts'
import type { Figure } from './figure.ts'
import { isInstalled, peers, startPeer } from './peers.ts'
import type { Peer } from './peers.ts'
import { compile, loadMaker, temporaryFolder } from './rig.ts'
import type { LoadMaker } from './rig.ts'
import { BenchWatch } from './watch.ts'

const rounds = 5
const connections = 4000
/** One connection of storm.c has two ends, and each end is opened and closed. */
const eventsPerConnection = 4
const runsPerConnection = 6
const execs = 300
const execLoop = `i=0; while [ $i -lt ${execs} ]; do /bin/true; i=$((i+1)); done`

/** Storms in the cgroup, in a network namespace of its own. */
async function startStorm(cgroup: ScopeCgroup, folder: string): Promise<LoadMaker> {
  const enter = 'echo $$ > "$0" && ip link set lo up && exec "$1"'
  return loadMaker(spawn('unshare', [
    '--net', '/bin/sh', '-c', enter, `${cgroup.path}/cgroup.procs`, compile('storm', folder),
  ], { stdio: ['pipe', 'pipe', 'inherit'] }))
}

function runsOf(watch: BenchWatch, program: string): { count: number, ns: number } {
  const stats = watch.object.programStats().find(({ name }) => name.startsWith(program))
  return { count: stats?.run_count ?? 0, ns: stats?.run_time_ns ?? 0 }
}

/** ns of one run, over everything that `load` causes. */
async function nsPerRun(
  programs: [watch: BenchWatch, program: string][], load: () => Promise<unknown>,
): Promise<number[]> {
  const before = programs.map(([watch, program]) => runsOf(watch, program))
  await load()
  return programs.map(([watch, program], i) => {
    const { count, ns } = runsOf(watch, program)
    return (ns - before[i].ns) / Math.max(1, count - before[i].count)
  })
}

async function hookFigures(cgroup: ScopeCgroup, elsewhere: ScopeCgroup, storm: LoadMaker):
Promise<Figure[]> {
  const inside = new BenchWatch(cgroup)
  const outside = new BenchWatch(elsewhere)
  const off = KernelObject.enableStats()
  if (typeof off !== 'function') throw new Error(`statistics refused: ${off.code}`)
  try {
    const columns: number[][] = []
    for (let i = 0; i <= rounds; i++) {
      const connection = await nsPerRun(
        [[inside, 'connection_state'], [outside, 'connection_state'], [inside, 'socket_send']],
        () => storm.make(connections, 0))
      const process = await nsPerRun(
        ['process_exec', 'process_exit', 'process_stdio', 'process_orphan'].map((program) =>
          [inside, program] as [BenchWatch, string]),
        () => cgroup.start('/bin/sh', '-c', execLoop).ended())
      // The first round warms up.
      if (i > 0) columns.push([...connection, ...process])
    }
    const of = (column: number): number => median(columns.map((row) => row[column]))
    const note = `median of ${rounds} × ${connections.toLocaleString('en-US')} connections`
    return [
      { name: 'hooks of a connection event', value: of(0) * runsPerConnection / eventsPerConnection,
        unit: 'ns/event', below: 300, note },
      { name: 'change of state', value: of(0), unit: 'ns/run',
        note: `${runsPerConnection} runs make ${eventsPerConnection} events` },
      { name: 'change of state, out of scope', value: of(1), unit: 'ns/run',
        note: 'the same storm' },
      { name: 'send on a connection', value: of(2), unit: 'ns/run',
        note: 'only where fentry and kprobes are refused; 0: not needed here' },
      { name: 'process_exec', value: of(3), unit: 'ns/run',
        note: `median of ${rounds} × ${execs}` },
      { name: 'process_exit', value: of(4), unit: 'ns/run', note: 'runs once per thread' },
      { name: 'process_stdio', value: of(5), unit: 'ns/run', note: 'three descriptors per exec' },
      { name: 'process_orphan', value: of(6), unit: 'ns/run', note: 'once per thread' },
    ]
  } finally {
    off()
    inside.close()
    outside.close()
  }
}

/** What a run of the peer's program takes; it must be running. */
async function peerNsPerRun(peer: Peer, storm: LoadMaker, folder: string): Promise<number> {
  const off = KernelObject.enableStats()
  const running = await startPeer(peer, folder)
  if (typeof off !== 'function' || !running) return 0
  const all: number[] = []
  for (let i = 0; i <= rounds; i++) {
    const before = running.runs()
    await storm.make(connections, 0)
    const { count, ns } = running.runs()
    if (i > 0) all.push((ns - before.ns) / Math.max(1, count - before.count))
  }
  off()
  await running.stop()
  return median(all)
}

interface Cost { slowdown: number, cpuUsPerEvent: number, captured: number }

/** Middle of several rounds: storm without, with, without. */
async function costOf(storm: LoadMaker, attach: () => Promise<Attached | undefined>):
Promise<Cost | undefined> {
  const all: Cost[] = []
  for (let i = 0; i < rounds; i++) {
    const before = await storm.make(connections, 0)
    const monitor = await attach()
    if (!monitor) return undefined
    await storm.make(connections / 8, 0)
    await monitor.settled()
    const start = monitor.now()
    const during = await storm.make(connections, 0)
    await monitor.settled()
    const end = monitor.now()
    await monitor.stop()
    const after = await storm.make(connections, 0)
    const events = end.events - start.events
    all.push({
      slowdown: during / ((before + after) / 2),
      cpuUsPerEvent: (end.cpuSeconds - start.cpuSeconds) * 1e6 / Math.max(1, events),
      captured: events / (connections * monitor.eventsPerConnection),
    })
  }
  return {
    slowdown: median(all.map((cost) => cost.slowdown)),
    cpuUsPerEvent: median(all.map((cost) => cost.cpuUsPerEvent)),
    captured: median(all.map((cost) => cost.captured)),
  }
}

interface Attached {
  eventsPerConnection: number
  now(): { events: number, cpuSeconds: number }
  settled(): Promise<void>
  stop(): Promise<void>
}

function attachOurs(cgroup: ScopeCgroup): () => Promise<Attached> {
  return async () => {
    const watch = new BenchWatch(cgroup)
    return {
      eventsPerConnection,
      now: () => {
        const { user, system } = process.cpuUsage()
        return { events: watch.records, cpuSeconds: (user + system) / 1e6 }
      },
      settled: () => watch.drained(),
      stop: async () => watch.close(),
    }
  }
}

function attachPeer(peer: Peer, folder: string): () => Promise<Attached | undefined> {
  return async () => {
    const running = await startPeer(peer, folder)
    if (!running) return undefined
    let lines = running.lines()
    return {
      eventsPerConnection: peer.linesPerConnection,
      now: () => ({ events: lines, cpuSeconds: running.cpuSeconds() }),
      // Until nothing comes any more.
      settled: async () => {
        for (let next = -1; next !== lines;) {
          if (next >= 0) lines = next
          await new Promise((resolve) => setTimeout(resolve, 500))
          next = running.lines()
        }
      },
      stop: () => running.stop(),
    }
  }
}

function costFigures(name: string, cost: Cost): Figure[] {
  return [
    { name: `storm with ${name}`, value: cost.slowdown, unit: '× the time',
      note: `${(cost.captured * 100).toFixed(0)}% captured; median of ${rounds}` },
    { name: `${name}, CPU`, value: cost.cpuUsPerEvent, unit: 'µs/event',
      note: 'of its own process, per captured event' },
  ]
}

export async function measure(): Promise<Figure[]> {
  const [cgroup, elsewhere] = [new ScopeCgroup(), new ScopeCgroup()]
  const folder = temporaryFolder('/dev/shm')
  try {
    const storm = await startStorm(cgroup, folder)
    await storm.make(connections, 0)
    const figures = await hookFigures(cgroup, elsewhere, storm)
    figures.push(...costFigures('Vedette', (await costOf(storm, attachOurs(cgroup)))!))
    for (const peer of peers) {
      const cost = isInstalled(peer) ? await costOf(storm, attachPeer(peer, folder)) : undefined
      if (!cost) {
        process.stderr.write(`bench: ${peer.name} is not installed or refused here\n`)
        continue
      }
      figures.push({ name: `${peer.name}, change of state`, unit: 'ns/run',
        value: await peerNsPerRun(peer, storm, folder), note: 'by the same statistics' })
      figures.push(...costFigures(peer.name, cost))
    }
    storm.end()
    return figures
  } finally {
    await cgroup.remove()
    await elsewhere.remove()
  }
}
