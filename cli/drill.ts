import { setTimeout as sleep } from 'node:timers/promises'
import type { Incident } from '../detect/incident.ts'
import { canonicalJson } from '../detect/incident.ts'
import { suggest } from '../policy/read/suggest.ts'
import type { Drill, DrillOutcome } from '../drills/drill.ts'
import { drills } from '../drills/list.ts'
import type { CommandSpec, ExitCode } from './command.ts'
import { CliError } from './errors.ts'
import { printLines, say, screenWidth } from './output.ts'
import { QueryServer } from './read/server.ts'
import type { Values } from './settings.ts'
import { stopSignal } from './stop-signal.ts'
import { incidentStory } from './text/story.ts'
import { alignRows, wrap } from './text/table.ts'

const POLL_MS = 250

export const spec: CommandSpec = {
  name: 'drill',
  argument: '[name]',
  argumentHelp: 'which drill; without it they are listed',
  summary: 'performs a drill: a harmless, real action that must raise an incident',
  examples: [
    'vedette drill                  lists the drills, and why they are safe',
    'vedette drill zone-violation   performs one, and waits for its incident',
  ],
  settings: ['wait', 'server', 'tls_ca', 'tls_cert', 'tls_key'],
  async run(values, name): Promise<ExitCode> {
    if (name === undefined) {
      await printLines(values.output === 'json' ? drills.map(drillJson) : drillList(screenWidth()))
      return 0
    }
    return perform(drillCalled(name), values)
  },
}

function drillCalled(name: string): Drill {
  const drill = drills.find((one) => one.name === name)
  if (drill) return drill
  const names = drills.map((one) => one.name)
  const near = suggest(name, names)
  throw new CliError('CLI_USAGE', `there is no drill ${JSON.stringify(name)}; ` +
    (near === null ? `there are ${names.join(', ')}` : `did you mean ${near}?`))
}

async function perform(drill: Drill, values: Values): Promise<ExitCode> {
  const signal = stopSignal()
  const server = new QueryServer(values, signal)
  try {
    // Before anything is done: is somebody there who could raise it?
    const before = new Map(
      (await incidentsOf(server)).map((one) => [one.incident_id, countOf(one)]))
    say(`drill ${drill.name}: ${drill.title}`)
    const outcome = await drill.run({ say: (line) => say(`  ${line}`), signal })
    const incident = await waitFor(drill, outcome, before, server, values.wait ?? 10)
    if (incident === null) return missing(drill, outcome, values)
    say(`raised: incident ${incident.incident_id}`)
    say('')
    await printLines(values.output === 'json' ? [canonicalJson(incident)]
      : incidentStory(incident, screenWidth()))
    return 0
  } finally {
    server.close()
  }
}

async function waitFor(
  drill: Drill, { zones }: DrillOutcome, before: ReadonlyMap<string, number>, server: QueryServer,
  waitS: number,
): Promise<Incident | null> {
  say(`  waiting up to ${waitS} s for an incident of ${drill.raises}`)
  const end = performance.now() + waitS * 1000
  do {
    // The same drill again goes into the same incident, with a higher count or more bytes.
    const raised = (await incidentsOf(server)).find((one) =>
      one.findings.some(({ detector }) => detector === drill.raises) &&
      zones.every((zone) => one.zones.includes(zone)) &&
      countOf(one) > (before.get(one.incident_id) ?? 0))
    if (raised) return raised
    await sleep(POLL_MS)
  } while (performance.now() < end)
  return null
}

function countOf(incident: Incident): number {
  const amounts = incident.findings.map(({ count, totals }) =>
    Object.values(totals).reduce((sum, one) => sum + one, count))
  return amounts.reduce((sum, one) => sum + one, incident.findings_unlisted)
}

async function incidentsOf(server: QueryServer): Promise<Incident[]> {
  const incidents: Incident[] = []
  for await (const lines of server.incidents({})) {
    incidents.push(...lines.map((line) => JSON.parse(line) as Incident))
  }
  return incidents
}

async function missing(
  drill: Drill, { done }: DrillOutcome, values: Values,
): Promise<ExitCode> {
  // All of the catalogue, for one word: only when it is needed.
  const { detectors } = await import('../detectors/index.ts')
  say(`vedette: the drill was done, but no incident of ${drill.raises} came within ` +
    `${values.wait} s.`)
  say(`Done: ${Object.entries(done).map(([name, value]) => `${name} ${value}`).join(', ')}`)
  say('What to check:')
  const [kind] = detectors.find(({ id }) => id === drill.raises)?.needs ?? []
  say('  vedette doctor                   are the probes attached?')
  say(`  vedette events --from 1m --kind ${kind}   was it seen? If not: is an`)
  say('                                   agent of this machine connected, and is it limited to')
  say('                                   another cgroup (--scope-cgroup)?')
  say('  vedette policy check             does it allow what the drill does, or is the detector')
  say('                                   muted?')
  return 1
}

function drillJson({ name, title, raises, attack, safe, needs }: Drill): string {
  return JSON.stringify({ name, title, raises, attack, safe, needs })
}

function drillList(width: number): string[] {
  const rows = alignRows(drills.map(({ name, title }) => [name, title]), width)
  return drills.flatMap(({ raises, attack, safe, needs }, i) => [
    rows[i],
    ...wrap(`Raises ${raises} (${attack.join(', ')}); needs ${needs.join(' and ')}. ${safe}`,
      width - 4).map((line) => `    ${line}`),
  ])
}
