import type { Incident, IncidentUpdate } from '../detect/incident.ts'
import { canonicalJson } from '../detect/incident.ts'
import type { CommandSpec, ExitCode } from './command.ts'
import { CliError } from './errors.ts'
import { printLines, say, screenWidth } from './output.ts'
import { frames, openReader } from './read/offline.ts'
import { QueryServer } from './read/server.ts'
import type { SettingName, Values } from './settings.ts'
import { stopSignal } from './stop-signal.ts'
import { incidentTable } from './text/incident-line.ts'
import { incidentStory } from './text/story.ts'

const READ: SettingName[] = ['server', 'data', 'tls_ca', 'tls_cert', 'tls_key']
const OFFLINE = { data: { help: 'read this data folder instead of asking a correlator' } }

export const spec: CommandSpec = {
  name: 'incidents',
  summary: 'incidents; `incidents show ID` tells the story of one',
  examples: [
    'vedette incidents                      all, one per line',
    'vedette incidents --state open -o json  open ones, one JSON object per line',
    'vedette incidents show 3f2a            the story of one; the beginning of its id is enough',
  ],
  settings: ['state', 'follow', ...READ],
  changes: OFFLINE,
  async run(values): Promise<ExitCode> {
    const { state = '', follow = false, output } = values
    if (follow && values.data !== undefined) {
      throw new CliError('CLI_USAGE', '--follow asks a correlator and cannot go with --data')
    }
    const signal = stopSignal()
    const pages = values.data === undefined
      ? new QueryServer(values, signal).incidents({ state, follow })
      : [offlineIncidents(values.data).filter((one) => state === '' || one.state === state)
        .map((one) => canonicalJson(one))]
    const table: Incident[] = []
    for await (const lines of pages) {
      if (output === 'json') await printLines(lines)
      else if (follow) await printLines(incidentTable(lines.map(parse), screenWidth()))
      else table.push(...lines.map(parse))
    }
    // A table is aligned when all its rows are there.
    await printLines(incidentTable(table, screenWidth()))
    if (table.length === 0 && !follow && output !== 'json') say('no incidents')
    return 0
  },
}

const show: CommandSpec = {
  name: 'show',
  argument: '<id>',
  argumentHelp: 'id of the incident, or a beginning that only it has',
  summary: 'tells the story of one incident',
  examples: [
    'vedette incidents show 3f2a7c91d0e4',
    'vedette incidents show 3f2a --output json',
  ],
  settings: READ,
  changes: OFFLINE,
  async run(values, id): Promise<ExitCode> {
    const incident = await incidentById(values, id!)
    await printLines(values.output === 'json' ? [canonicalJson(incident)]
      : incidentStory(incident, screenWidth()))
    return 0
  },
}

export const children = [show]

/** One incident by the beginning of its id, from `--data` or `--server`. Throws CliError. */
export async function incidentById(values: Values, id: string): Promise<Incident> {
  if (!/^[0-9a-f]{1,64}$/.test(id)) {
    throw new CliError('CLI_USAGE', `${JSON.stringify(id)} is no id of an incident; ` +
      'vedette incidents lists them')
  }
  if (values.data === undefined) {
    for await (const [line] of new QueryServer(values).incidents({ incident_id: id })) {
      if (line !== undefined) return parse(line)
    }
    throw new CliError('CLI_REFUSED', `incident ${id} has left the incident log`)
  }
  const found = offlineIncidents(values.data).filter((one) => one.incident_id.startsWith(id))
  if (found.length === 1) return found[0]
  const ids = found.slice(0, 8).map((one) => one.incident_id).join(', ')
  throw new CliError('CLI_NO_DATA', found.length === 0
    ? `no incident in ${values.data} begins with ${id}`
    : `${found.length} incidents begin with ${id}: ${ids}; say more`)
}

/** The newest state of every incident of a data folder, in the order of opening. */
export function offlineIncidents(data: string): Incident[] {
  const incidents = new Map<string, Incident>()
  for (const { payload } of frames(openReader(data, 'incidents'))) {
    const { incident } = JSON.parse(payload.toString('utf8')) as IncidentUpdate
    incidents.set(incident.incident_id, incident)
  }
  return [...incidents.values()]
}

function parse(line: string): Incident {
  return JSON.parse(line) as Incident
}
