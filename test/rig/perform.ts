// Performs one scenario on a cluster of its own, and gives the verdict.

import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Incident } from '../../detect/incident.ts'
import { LogReader } from '../../log/cursor.ts'
import { decodeBatch } from '../../proto/batch.ts'
import { BatchCursor } from '../../proto/batch-cursor.ts'
import type { Event } from '../../proto/batch-cursor.ts'
import { eventJson } from '../../proto/event-json.ts'
import type { EventJson } from '../../proto/event-json.ts'

import { Cluster } from './cluster/cluster.ts'
import { judge, judgeStory } from './judge.ts'
import type { Scenario } from './scenario.ts'

const LEARNING_POLICY = 'version: 1\nzones: []\nflows: []\n'
const KEPT = join(import.meta.dirname, '../../build/rig')
/** How long the story is waited for; beyond `within_s` it is late, and that is a problem. */
const WAIT_MS_MAX = 30_000
/** What is late, and what should not come, comes within this. */
const SETTLE_MS = 4000
const POLL_MS = 100

export interface Verdict {
  name: string
  title: string
  problems: string[]
  took_s: number
  /** From the last step to the whole story; null when there was no step. */
  raised_after_s: number | null
  incidents: Incident[]
  events: number
  /** Connections and flows that were opened, as seen by who opened them. */
  connections: number
  /** Folder with the logs and the policy, when it was kept. */
  kept: string | null
}

export interface PerformOptions {
  progress(what: string): void
  /** Called with the folder of the correlator when all has ended, before it is removed. */
  record?(data: string): void
  /** Keep the folder also when all is well. */
  keep?: boolean
}

/** Never rejects for what a scenario does: that is a problem of the verdict. */
export async function perform(scenario: Scenario, options: PerformOptions): Promise<Verdict> {
  const { progress } = options
  const began = performance.now()
  const verdict: Verdict = {
    name: scenario.name, title: scenario.title, problems: [], took_s: 0, raised_after_s: null,
    incidents: [], events: 0, connections: 0, kept: null,
  }
  const policy = join(import.meta.dirname, 'policy.yaml')
  let cluster: Cluster
  try {
    cluster = await Cluster.open({ policy, progress, clockShiftS: scenario.clockShiftS })
  } catch (error) {
    verdict.problems.push((error as Error).stack ?? String(error))
    return verdict
  }
  try {
    await act(scenario, cluster, verdict, progress)
    progress('ending')
    await cluster.endTraining()
    await cluster.halves.stop()
    await lookBack(scenario, cluster, verdict)
    if (verdict.problems.length === 0) options.record?.(cluster.halves.data)
  } catch (error) {
    verdict.problems.push((error as Error).stack ?? String(error))
  }
  if (options.keep === true || verdict.problems.length > 0) {
    verdict.kept = join(KEPT, scenario.name)
    rmSync(verdict.kept, { recursive: true, force: true })
    cpSync(cluster.halves.data, verdict.kept, { recursive: true })
    cpSync(cluster.halves.policyFile, join(verdict.kept, 'policy.yaml'))
  }
  await cluster.close()
  verdict.took_s = (performance.now() - began) / 1000
  return verdict
}

async function act(
  scenario: Scenario, cluster: Cluster, verdict: Verdict, progress: (what: string) => void,
): Promise<void> {
  if (scenario.learn) await learn(scenario, cluster, progress)
  progress(scenario.act ? 'the attack' : 'benign work')
  const work = scenario.work && await cluster.work(scenario.work)
  const gaveUp = new AbortController()
  // Watched from the last step on: what an act still does after it is not the story's time.
  let told: Promise<number> | null = null
  const lastStep = (): void => { told ??= storyTold(scenario, cluster, gaveUp.signal) }
  try {
    await scenario.act?.({ cluster, progress, lastStep })
  } catch (error) {
    gaveUp.abort()
    await told
    throw error
  }
  if (scenario.act) {
    lastStep()
    verdict.raised_after_s = await told!
    const { within_s: limit = Infinity } = scenario.expect
    if (verdict.raised_after_s > limit) {
      verdict.problems.push(`told ${verdict.raised_after_s.toFixed(1)} s after the last step`)
    }
  }
  progress('what may come late')
  await work?.finished()
  await sleep(SETTLE_MS)
}

/** Seconds from now, the last step, until all of the story is told; Infinity when it never was. */
async function storyTold(
  { expect }: Scenario, cluster: Cluster, gaveUp: AbortSignal,
): Promise<number> {
  const from = performance.now()
  for (;;) {
    const now = performance.now()
    if (judgeStory(cluster.halves.incidents(), expect).length === 0) return (now - from) / 1000
    if (gaveUp.aborted || now > from + WAIT_MS_MAX) return Infinity
    await sleep(POLL_MS)
  }
}

async function learn(
  scenario: Scenario, cluster: Cluster, progress: (what: string) => void,
): Promise<void> {
  const { halves } = cluster
  progress('benign work, to learn from')
  await halves.applyPolicy(LEARNING_POLICY)
  await (await cluster.work(scenario.learn!)).finished()
  progress('learning')
  const proposed = await halves.vedette('policy', 'learn', '--data', halves.data).succeeds()
  await halves.applyPolicy(proposed)
}

async function lookBack(scenario: Scenario, cluster: Cluster, verdict: Verdict): Promise<void> {
  const { halves } = cluster
  verdict.incidents = halves.incidents()
  verdict.problems.push(...judge(verdict.incidents, scenario.expect))
  const cursor = new BatchCursor()
  const events: EventJson[] = []
  for (const { payload } of new LogReader(join(halves.data, 'log')).read()) {
    const batch = decodeBatch(payload)
    verdict.events += batch.envelope.count
    cursor.forEach(batch, (event) => {
      verdict.connections += opensConnection(event)
      if (scenario.check) events.push(eventJson(event))
    })
  }
  if (scenario.check) verdict.problems.push(...scenario.check(events))
  for (const command of ['replay', 'verify']) {
    const done = halves.vedette(command, '--data', halves.data)
    if ((await done.ended).code === 0) continue
    verdict.problems.push(`vedette ${command}: ${done.stdout.trim()} ${done.stderr.trim()}`)
  }
}

/** How many connections or flows an event says were opened. */
function opensConnection(event: Event): number {
  switch (event.kind) {
    case 'connection_open': return event.direction === 'outgoing' && !event.at_start ? 1 : 0
    case 'connection_repeat': return event.direction === 'outgoing' ? event.opened : 0
    case 'datagram_flow': return event.direction === 'outgoing' && event.report === 'first' ? 1 : 0
    default: return 0
  }
}
