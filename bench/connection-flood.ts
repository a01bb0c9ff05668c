// What a cgroup that floods costs itself, its neighbours and the agent: attempts to ever-changing
// peers, which only the quota bounds, and like connections, which are counted. Both halves run as
// commands; the flood and the neighbour are real programs in network namespaces of their own.

import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, rmdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ScopeCgroup } from '../test/probes/scope-cgroup.ts'
import type { Figure } from './figure.ts'
import { metricsOf, startHalf } from './halves.ts'
import { forgetPeak, residentOf } from './process-cost.ts'
import { compile, loadMaker, temporaryFolder } from './rig.ts'
import type { LoadMaker } from './rig.ts'

const attemptsPerS = 101_000
const goalPerS = 100_000
const seconds = 10
/** Of the neighbour: few enough to be told one by one. */
const calmPerS = 4
const eventsPerConnection = 4
/** Then something is stuck. */
const waitMsMax = 60_000
const command = join(import.meta.dirname, '../cli/vedette.js')

interface Rig {
  agent: { pid: number, http: string, stop(): Promise<void> }
  correlator: { http: string, stop(): Promise<void> }
  calm: LoadMaker
  /** Connections that the neighbour made so far. */
  calmMade: number
}

interface Round {
  perS: number
  lost: number
  made: number
  residentBefore: number
  residentPeak: number
  backMs: number
}

async function startLoad(program: string, cgroup: string): Promise<LoadMaker> {
  const enter = 'echo $$ > "$0" && ip link set lo up && exec "$1"'
  return loadMaker(spawn('unshare', [
    '--net', '/bin/sh', '-c', enter, join(cgroup, 'cgroup.procs'), program,
  ], { stdio: ['pipe', 'pipe', 'inherit'] }))
}

async function startHalves(folder: string, cgroup: ScopeCgroup): Promise<Omit<Rig, 'calm'>> {
  const correlator = await startHalf([
    'correlator', '--data', join(folder, 'correlator'), '--listen', '127.0.0.1:0',
    '--listen-http', '127.0.0.1:0',
  ], /gRPC on port (\d+, \/metrics on port \d+)/)
  const [grpcPort, http] = correlator.found.match(/\d+/g)!
  const agent = await startHalf([
    'agent', '--data', join(folder, 'agent'), '--correlator', `127.0.0.1:${grpcPort}`,
    '--listen-http', '127.0.0.1:0', '--scope-cgroup', `/${cgroup.path.split('/').at(-1)}`,
  ], /\/metrics on port (\d+)/)
  return {
    agent: { pid: agent.pid, http: agent.found, stop: agent.stop },
    correlator: { http, stop: correlator.stop }, calmMade: 0,
  }
}

/** Records that reached the ring, and those that a quota or the ring took. */
async function recordsOf({ agent }: Rig): Promise<{ kept: number, made: number, lost: number }> {
  const [made, lost] = await metricsOf(agent.http,
    ['vedette_records_produced_total', 'vedette_records_lost_total'])
  return { kept: made - lost, made, lost }
}

/** Events in the log that went through the detectors. */
async function evaluated({ correlator }: Rig): Promise<number> {
  const [stored, pending] = await metricsOf(correlator.http,
    ['vedette_log_events_total', 'vedette_detection_pending_batches'])
  return pending > 0 ? 0 : stored
}

/** So many of the flood at this rate (0: as fast as it goes), beside the neighbour. */
async function round(rig: Rig, loud: LoadMaker, count: number, rate: number): Promise<Round> {
  const { agent, calm } = rig
  // What happened before has arrived.
  await sleep(1500)
  const before = { ...await recordsOf(rig), evaluated: await evaluated(rig) }
  const residentBefore = residentOf(agent.pid).now
  forgetPeak(agent.pid)
  const beside = calm.make(calmPerS * seconds, calmPerS)
  const took = await loud.make(count, rate)
  const end = performance.now()
  const { kept } = await recordsOf(rig)
  while (await evaluated(rig) < before.evaluated + kept - before.kept) {
    if (performance.now() - end > waitMsMax) throw new Error('events do not arrive')
    await sleep(20)
  }
  const backMs = performance.now() - end
  await beside
  rig.calmMade += calmPerS * seconds
  const after = await recordsOf(rig)
  return {
    perS: count / took, lost: after.lost - before.lost, made: after.made - before.made,
    residentBefore, residentPeak: residentOf(agent.pid).peak, backMs,
  }
}

function figuresOf(name: string, result: Round, atLeast?: number): Figure[] {
  const { perS, lost, made, residentBefore, residentPeak, backMs } = result
  return [
    { name, value: perS, unit: '/s', ...(atLeast ? { at_least: atLeast } : {}),
      note: `for ${seconds} s, of one process` },
    { name: `${name}: records over the quota`, value: 100 * lost / Math.max(1, made), unit: '%',
      note: `${lost.toLocaleString('en-US')} of ${made.toLocaleString('en-US')}, each counted` },
    { name: `${name}: agent grows by`, value: residentPeak - residentBefore, unit: 'MiB', below: 40,
      note: `from ${residentBefore.toFixed(0)} MiB to ${residentPeak.toFixed(0)} at most` },
    { name: `${name}: last event evaluated`, value: backMs, unit: 'ms', below: 2000,
      note: 'after the end of the flood' },
  ]
}

/** connection_open and connection_close of the neighbour that are in the log. */
function neighbourEvents(folder: string, cgroupId: string): number {
  let count = 0
  for (const kind of ['connection_open', 'connection_close']) {
    const lines = execFileSync(process.execPath, [
      command, 'events', '--data', join(folder, 'correlator'), '--kind', kind, '--output', 'json',
      '--limit', '1000000',
    ], { maxBuffer: 1024 ** 3, stdio: ['ignore', 'pipe', 'inherit'] }).toString().split('\n')
    count += lines.filter((line) => line.includes(`"cgroup_id":"${cgroupId}"`)).length
  }
  return count
}

export async function measure(): Promise<Figure[]> {
  const cgroup = new ScopeCgroup()
  const folder = temporaryFolder()
  const [loudPath, calmPath] = ['loud', 'calm'].map((name) => join(cgroup.path, name))
  mkdirSync(loudPath)
  mkdirSync(calmPath)
  try {
    const storm = compile('storm', folder)
    const rig: Rig = {
      ...await startHalves(folder, cgroup), calm: await startLoad(storm, calmPath),
    }
    const scanning = await startLoad(compile('scan', folder), loudPath)
    const storming = await startLoad(storm, loudPath)
    await round(rig, scanning, attemptsPerS, attemptsPerS)
    const scan = await round(rig, scanning, attemptsPerS * seconds, attemptsPerS)
    // So many as take about as long.
    const took = await storming.make(20_000, 0)
    const like = await round(rig, storming, Math.round(20_000 / took) * seconds, 0)
    for (const load of [scanning, storming, rig.calm]) load.end()
    await sleep(1500)
    await rig.agent.stop()
    await rig.correlator.stop()
    const expected = rig.calmMade * eventsPerConnection
    const calmId = statSync(calmPath, { bigint: true }).ino.toString()
    return [
      ...figuresOf('attempts to changing peers', scan, goalPerS),
      ...figuresOf('like connections', like),
      { name: 'neighbour, events lost', value: expected - neighbourEvents(folder, calmId),
        unit: 'events', below: 1, note: `of ${expected}, beside both floods` },
    ]
  } finally {
    // Programs that have just ended may still be in there.
    await sleep(500)
    rmdirSync(loudPath)
    rmdirSync(calmPath)
    await cgroup.remove()
  }
}
