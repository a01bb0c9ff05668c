// The whole path with both halves on this machine, as two processes: ring → columns → spool → gRPC
// → event log → detectors. Records come from flood.bpf.c at a held rate.
//
// A rate counts as reached when no record was lost and everything had been stored, acknowledged
// and evaluated within a second of the last record. On two cores the flood, the kernel and both
// halves share what there is.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ScopeCgroup } from '../test/probes/scope-cgroup.ts'
import type { Figure } from './figure.ts'
import { metricsOf, startHalf } from './halves.ts'
import type { Half } from './halves.ts'
import { cpuSecondsOf, forgetPeak, residentOf } from './process-cost.ts'
import { startFlood, temporaryFolder } from './rig.ts'
import type { LoadMaker } from './rig.ts'
import { samplePolicy } from './sample-batches.ts'

const goalRate = 300_000
const ratesTried = [200_000, 300_000, 400_000, 500_000, 600_000, 800_000]
const goalAt = ratesTried.indexOf(goalRate)
const secondsHeld = 5
const lagSecondsMax = 1
/** Then something is stuck. */
const waitSecondsMax = 60

interface Halves {
  agent: Half
  correlator: Half
  correlatorHttp: string
  agentHttp: string
  flood: LoadMaker
}

async function start(folder: string, cgroup: ScopeCgroup): Promise<Halves> {
  const policy = join(folder, 'vedette.yaml')
  writeFileSync(policy, samplePolicy)
  const correlator = await startHalf([
    'correlator', '--data', join(folder, 'correlator'), '--policy', policy,
    '--listen', '127.0.0.1:0', '--listen-http', '127.0.0.1:0',
  ], /gRPC on port (\d+, \/metrics on port \d+)/)
  const [grpcPort, correlatorHttp] = correlator.found.match(/\d+/g)!
  const agent = await startHalf([
    'agent', '--data', join(folder, 'agent'), '--correlator', `127.0.0.1:${grpcPort}`,
    '--listen-http', '127.0.0.1:0', '--scope-cgroup', `/${cgroup.path.split('/').at(-1)}`,
  ], /\/metrics on port (\d+)/)
  const flood = await startFlood(agent.pid, folder)
  return { agent, correlator, correlatorHttp, agentHttp: agent.found, flood }
}

/** Events that went through the detectors. */
async function evaluated({ correlatorHttp }: Halves): Promise<number> {
  const [stored, pending] = await metricsOf(correlatorHttp,
    ['vedette_log_events_total', 'vedette_detection_pending_batches'])
  return pending > 0 ? 0 : stored
}

async function produced({ agentHttp }: Halves): Promise<{ produced: number, lost: number }> {
  const [made, lost, dropped] = await metricsOf(agentHttp, ['vedette_records_produced_total',
    'vedette_records_lost_total', 'vedette_spool_dropped_total'])
  return { produced: made, lost: lost + dropped }
}

interface Round {
  rate: number
  lost: number
  lagSeconds: number
  /** Nanoseconds per event. */
  agentCpu: number
  correlatorCpu: number
}

/** One rate for some seconds; how long the last event took to get through. */
async function round(halves: Halves, rate: number): Promise<Round> {
  const { agent, correlator, flood } = halves
  const records = rate * secondsHeld
  const before = {
    ...await produced(halves), evaluated: await evaluated(halves),
    agent: cpuSecondsOf(agent.pid), correlator: cpuSecondsOf(correlator.pid),
  }
  await flood.make(records, rate)
  const end = performance.now()
  const { lost } = await produced(halves)
  const lostNow = lost - before.lost
  // Self events come on top, so this is never more than what has to arrive.
  while (await evaluated(halves) < before.evaluated + records - lostNow) {
    if (performance.now() - end > waitSecondsMax * 1000) throw new Error('events do not arrive')
    await sleep(50)
  }
  return {
    rate, lost: lostNow, lagSeconds: (performance.now() - end) / 1000,
    agentCpu: (cpuSecondsOf(agent.pid) - before.agent) * 1e9 / records,
    correlatorCpu: (cpuSecondsOf(correlator.pid) - before.correlator) * 1e9 / records,
  }
}

export async function measure(): Promise<Figure[]> {
  const cgroup = new ScopeCgroup()
  try {
    const halves = await start(temporaryFolder(), cgroup)
    const { agent, correlator, flood } = halves
    await round(halves, ratesTried[0])
    const resident: number[] = [residentOf(agent.pid).peak]
    let best: Round | undefined
    let atGoal: Round | undefined
    for (const rate of ratesTried) {
      forgetPeak(agent.pid)
      const result = await round(halves, rate)
      resident.push(residentOf(agent.pid).peak)
      process.stderr.write(`bench: ${rate}/s: ${result.lost} lost, last event evaluated after ` +
        `${result.lagSeconds.toFixed(2)} s, agent ${resident.at(-1)!.toFixed(0)} MiB\n`)
      if (rate === goalRate) atGoal = result
      if (result.lost > 0 || result.lagSeconds > lagSecondsMax) break
      best = result
    }
    const end = residentOf(agent.pid).now
    const correlatorPeak = residentOf(correlator.pid).peak
    flood.end()
    await agent.stop()
    await correlator.stop()
    return [
      { name: 'ring to detectors, no loss', value: best?.rate ?? 0, unit: 'events/s',
        at_least: goalRate, note: `highest of the rates tried, held for ${secondsHeld} s` },
      { name: 'agent, CPU', value: atGoal!.agentCpu, unit: 'ns/event', note: 'at 300,000/s' },
      { name: 'correlator, CPU', value: atGoal!.correlatorCpu, unit: 'ns/event',
        note: 'at 300,000/s' },
      { name: 'last event evaluated', value: atGoal!.lagSeconds * 1000, unit: 'ms',
        note: 'after the end of a flood of 300,000/s' },
      { name: 'agent, resident, highest', value: Math.max(...resident.slice(0, goalAt + 2)),
        unit: 'MiB', below: 150,
        note: `up to 300,000/s; at each rate: ${resident.map(Math.round).join(', ')}` },
      { name: 'agent, resident, at the end', value: end, unit: 'MiB', below: 150,
        note: 'flat: no more than at the start of the load' },
      { name: 'correlator, resident, highest', value: correlatorPeak, unit: 'MiB' },
    ]
  } finally {
    await cgroup.remove()
  }
}
