// Performs one scenario on a cluster of its own, and gives the verdict.

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Incident } from '../../detect/incident.ts'
import { LogReader } from '../../log/cursor.ts'
import { decodeEnvelope } from '../../proto/batch.ts'
import { Cluster } from './cluster/cluster.ts'
import { judge, judgeStory } from './judge.ts'
import type { Scenario } from './scenario.ts'

const LEARNING_POLICY = 'version: 1\nzones: []\nflows: []\n'
/** How long the story is waited for; beyond `within_s` it is late, and that is a problem. */
const WAIT_MS_MAX = 15_000
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
  /** Folder of the rig, when it was kept. */
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
    incidents: [], events: 0, kept: null,
  }
  const policy = join(import.meta.dirname, 'policy.yaml')
  const cluster = await Cluster.open({ policy, progress, clockShiftS: scenario.clockShiftS })
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
  const keep = options.keep === true || verdict.problems.length > 0
  await cluster.close(keep)
  verdict.kept = keep ? cluster.machine.dir : null
  verdict.took_s = (performance.now() - began) / 1000
  return verdict
}

async function act(
  scenario: Scenario, cluster: Cluster, verdict: Verdict, progress: (what: string) => void,
): Promise<void> {
  if (scenario.learn) await learn(scenario, cluster, progress)
  progress(scenario.act ? 'the attack' : 'benign work')
  const work = scenario.work && await cluster.work(scenario.work)
  let lastStepMs: number | null = null
  const lastStep = (): void => { lastStepMs ??= performance.now() }
  await scenario.act?.({ cluster, progress, lastStep })
  if (scenario.act) {
    const from = lastStepMs ?? performance.now()
    verdict.raised_after_s = await storyTold(scenario, cluster, from)
    const { within_s: limit = Infinity } = scenario.expect
    if (verdict.raised_after_s > limit) {
      verdict.problems.push(`told ${verdict.raised_after_s.toFixed(1)} s after the last step`)
    }
  }
  progress('what may come late')
  await work?.finished()
  await sleep(SETTLE_MS)
}

/** Seconds from the last step until all of the story is told; Infinity when it never was. */
async function storyTold({ expect }: Scenario, cluster: Cluster, from: number): Promise<number> {
  for (;;) {
    const now = performance.now()
    if (judgeStory(cluster.halves.incidents(), expect).length === 0) return (now - from) / 1000
    if (now > from + WAIT_MS_MAX) return Infinity
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
  for (const { payload } of new LogReader(join(halves.data, 'log')).read()) {
    verdict.events += decodeEnvelope(payload).count
  }
  for (const command of ['replay', 'verify']) {
    const done = halves.vedette(command, '--data', halves.data)
    if ((await done.ended).code === 0) continue
    verdict.problems.push(`vedette ${command}: ${done.stdout.trim()} ${done.stderr.trim()}`)
  }
}
