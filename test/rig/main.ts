// `npm run rig`: the scenarios on a cluster of network namespaces, and what came out.
//
//   node test/rig/main.ts [NAME…] [--ci] [--list] [--record] [--keep] [--json]
//
//   --ci      leaves out the scenarios that take minutes
//   --record  stores event log and incidents of each in test/rig/golden/ (see golden.test.ts)
//   --keep    keeps the folder of the rig also when all is well
//
// Exit 0: all as wanted; 1: not; 2: wrong usage. Without root it is skipped, and says so.

import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { incidentStory } from '../../cli/text/story.ts'
import { whyNoRig } from './cluster/machine.ts'
import { record } from './golden.ts'
import { perform } from './perform.ts'
import type { Verdict } from './perform.ts'
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
    keep: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
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
  const reason = whyNoRig()
  if (reason !== '') {
    say(`!! SKIPPED: the cluster rig: ${reason}`)
    return 0
  }
  const verdicts: Verdict[] = []
  for (const scenario of chosen) verdicts.push(await show(scenario))
  if (values.json) process.stdout.write(`${JSON.stringify(verdicts)}\n`)
  else process.stdout.write(`${table(verdicts).join('\n')}\n`)
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
  if (!values.json) {
    for (const incident of verdict.incidents) {
      process.stdout.write(`\n${incidentStory(incident, COLUMNS).join('\n')}\n`)
    }
  }
  for (const problem of verdict.problems) say(`   PROBLEM: ${problem}`)
  if (verdict.kept !== null) say(`   kept: ${verdict.kept}`)
  return verdict
}

function table(verdicts: readonly Verdict[]): string[] {
  const rows = verdicts.map(({ name, problems, took_s: took, raised_after_s: after, ...more }) => [
    problems.length === 0 ? 'ok' : 'FAILED', name, `${took.toFixed(0)} s`,
    String(more.events), String(more.incidents.length),
    after === null ? '' : `${after.toFixed(1)} s`,
  ])
  const head = ['', 'scenario', 'took', 'events', 'incidents', 'story told after']
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)))
  return ['', ...[head, ...rows].map((row) =>
    row.map((cell, i) => cell.padEnd(widths[i]!)).join('  ').trimEnd())]
}

function say(text: string): void {
  process.stderr.write(`${text}\n`)
}
