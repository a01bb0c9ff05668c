// `npm run rig`: the scenarios on a cluster of network namespaces, and what came out.
//
//   node test/rig/main.ts [NAME…] [--ci] [--list] [--record] [--refresh] [--keep] [--quiet]
//     [--results FILE]
//
//   --ci       leaves out the scenarios that take minutes
//   --record   stores event log and incidents of each in test/rig/golden/ (see golden.test.ts)
//   --refresh  runs nothing: stores what the detectors of now make of the kept logs
//   --keep     keeps the logs in build/rig/ also when all is well
//   --quiet    no stories of incidents
//   --results  what came out, as JSON in the shape of vitest's
//
// Exit 0: all as wanted; 1: not; 2: wrong usage. Without root it is skipped, and says so.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { incidentStory } from '../../cli/text/story.ts'
import { whyNoRig } from './cluster/machine.ts'
import { goldenNames, record, refresh } from './golden.ts'
import { perform } from './perform.ts'
import type { Verdict } from './perform.ts'
import { table, vitestResults } from './results.ts'
import { LONG, scenarios } from './scenarios/all.ts'
import type { Scenario } from './scenario.ts'

const COLUMNS = 100
const GOLDEN = join(import.meta.dirname, 'golden')

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    ci: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    record: { type: 'boolean', default: false },
    refresh: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    quiet: { type: 'boolean', default: false },
    results: { type: 'string' },
  },
})
process.exitCode = await main()

async function main(): Promise<number> {
  const unknown = positionals.filter((name) => !scenarios.some((one) => one.name === name))
  if (unknown.length > 0) {
    say(`rig: no such scenario: ${unknown.join(', ')}; --list names them`)
    return 2
  }
  const chosen = positionals.length > 0
    ? scenarios.filter(({ name }) => positionals.includes(name))
    : scenarios.filter(({ name }) => !values.ci || !LONG.has(name))
  if (values.list) {
    for (const { name, title } of chosen) process.stdout.write(`${name.padEnd(20)} ${title}\n`)
    return 0
  }
  if (values.refresh) {
    const names = goldenNames(GOLDEN).filter((name) => chosen.some((one) => one.name === name))
    for (const name of names) say(refresh(name, GOLDEN))
    return 0
  }
  const reason = whyNoRig()
  if (reason !== '') {
    say(`!! SKIPPED: the cluster rig: ${reason}`)
    writeResults(new Map(chosen.map(({ name }) => [name, null])))
    return 0
  }
  const verdicts: Verdict[] = []
  for (const scenario of chosen) verdicts.push(await show(scenario))
  process.stdout.write(`${table(verdicts).join('\n')}\n`)
  writeResults(new Map(verdicts.map((verdict) => [verdict.name, verdict])))
  return verdicts.every(({ problems }) => problems.length === 0) ? 0 : 1
}

async function show(scenario: Scenario): Promise<Verdict> {
  const began = performance.now()
  const clock = (): string => `${((performance.now() - began) / 1000).toFixed(1).padStart(6)} s`
  say(`\n== ${scenario.name}: ${scenario.title}`)
  const verdict = await perform(scenario, {
    keep: values.keep,
    progress: (what) => say(`   ${clock()}  ${what}`),
    record: values.record ? (data) => say(`   ${record(scenario.name, data, GOLDEN)}`) : undefined,
  })
  for (const incident of values.quiet ? [] : verdict.incidents) {
    process.stdout.write(`\n${incidentStory(incident, COLUMNS).join('\n')}\n`)
  }
  for (const problem of verdict.problems) say(`   PROBLEM: ${problem}`)
  if (verdict.kept !== null) say(`   kept: ${verdict.kept}`)
  return verdict
}

function writeResults(verdicts: ReadonlyMap<string, Verdict | null>): void {
  if (values.results !== undefined) writeFileSync(values.results, vitestResults(verdicts))
}

function say(text: string): void {
  process.stderr.write(`${text}\n`)
}
