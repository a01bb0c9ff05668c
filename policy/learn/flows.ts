/** Flows proposed from what was seen to pass between zones, and what is not proposed, with why. */
import { parsePorts } from '../match/ports.ts'
import { ANY_ZONE, DRILL_ZONES, EXTERNAL_ZONE } from '../zone-names.ts'
import { linesOf, slicesSeen, sumOf } from './edges.ts'
import type { Amounts, Edge, Line } from './edges.ts'
import { COMMAND_PORTS, portEntries, protocolWord } from './port-list.ts'
import { isPlainPath } from './traits.ts'

/** Why something that was seen is left to a person. */
export type Refusal = 'incident' | 'failed' | 'rare' | 'one_moment' | 'odd_executable'
  | 'dynamic_ports' | 'no_word'

/** What flows and refusals tell alike. */
export interface Told extends Amounts {
  from: string
  to: string
  ports: string[]
  /** Empty: every executable. */
  executables: string[]
  /** Empty: every name. */
  to_dns: string[]
  openers: string[]
  servers: string[]
}

/** Something that was seen and is not proposed. */
export interface Refused extends Told {
  refusal: Refusal
  /** Id of the incident; '' for other refusals. */
  incident: string
}

export interface FlowOptions {
  /** Zones of the policy, without the built-in ones. */
  zones: readonly string[]
  /** Fewer connections than that are rare; 1 takes everything for a habit. */
  connectionsMin: number
  /** Say DNS names of servers in the rest of the world, where all have some. */
  names: boolean
}

/** Distinct executables of a flow; more say that any may. */
const EXECUTABLES_MAX = 6
/** Zones that a source asks for the same service, or that ask one, to be many. */
const FAN_OUT_MIN = 3
/** From here on ports are chosen by the kernel. */
const DYNAMIC_PORT = 32_768
/** Of name servers. */
const NAME_PORT = 53
const DYNAMIC_PORTS_MAX = 4
const NAMES_MAX = 8
/** `ports:` of one flow takes so many. */
const PORTS_MAX = 32

/** Both lists in the order of zones and services. */
export function proposeFlows(
  edges: readonly Edge[], options: FlowOptions,
): { flows: Told[], refused: Refused[] } {
  const asked = edges.filter(({ from }) => !DRILL_ZONES.includes(from))
  const clean = asked.filter(({ incident, established }) => incident === '' && established)
  const refused = [...refusedByIncident(asked), ...refusedAttempts(asked, clean)]
  const { few, dynamic } = apart(linesOf(clean))
  const everybodys = askedEverywhere(few)
  const judged = few.map((line) => {
    const refusal = refusalOf(line, options)
    return { line, refusal: refusal === 'rare' && everybodys.has(line) ? null : refusal }
  })
  const open = openServices(
    judged.filter(({ refusal }) => refusal === null).map(({ line }) => line))
  const habits: Line[] = []
  refused.push(...dynamic)
  for (const { line, refusal } of judged) {
    // Where every executable may, a rare one may too.
    const covered = (refusal === 'rare' || refusal === 'one_moment') && open.has(serviceOf(line))
    if (refusal === null || covered) habits.push(line)
    else refused.push({ ...toldOf([line]), refusal, incident: '' })
  }
  const { everywhere, rest } = fanOut(habits, options.zones)
  const flows = [...everywhere, ...narrowed(rest)].flatMap(cutPorts).sort(compareTold)
  return {
    flows: options.names ? flows : flows.map((flow) => ({ ...flow, to_dns: [] })),
    refused: refused.sort(compareTold),
  }
}

function refusalOf(line: Line, { connectionsMin }: FlowOptions): Refusal | null {
  if ('message' in parsePorts(`any/${protocolWord(line.protocol)}`)) return 'no_word'
  if (line.exe !== '' && !isPlainPath(line.exe)) return 'odd_executable'
  if (line.connections < connectionsMin) return 'rare'
  return connectionsMin > 1 && slicesSeen(line) < 2 ? 'one_moment' : null
}

/**
 * Lines of a program that asks for the same service from several zones, such as an agent of each
 * node that stays connected: rare in each zone, and yet a habit. Not of what commands machines.
 */
function askedEverywhere(lines: readonly Line[]): Set<Line> {
  const standing = lines.filter((line) =>
    line.exe !== '' && !COMMAND_PORTS.includes(line.port) && slicesSeen(line) >= 2)
  const groups = grouped(standing, ({ to, port, protocol, exe }) =>
    JSON.stringify([to, port, protocol, exe]))
  return new Set(groups.filter(({ length }) => length >= FAN_OUT_MIN).flat())
}

function serviceOf({ from, to, port, protocol }: Line): string {
  return JSON.stringify([from, to, port, protocol])
}

/** Services that are not narrowed to executables. */
function openServices(habits: readonly Line[]): Set<string> {
  return new Set(grouped(habits, serviceOf)
    .filter((lines) => executablesOf(lines).length === 0).map(([line]) => serviceOf(line)))
}

function refusedByIncident(edges: readonly Edge[]): Refused[] {
  const suspicious = edges.filter(({ incident }) => incident !== '')
  return grouped(suspicious, ({ incident }) => incident).flatMap((some) => {
    return linesOf(some).map((line): Refused =>
      ({ ...toldOf([line]), refusal: 'incident', incident: some[0].incident }))
  })
}

/** Attempts at what was never reached. One at a service that answers others says nothing. */
function refusedAttempts(edges: readonly Edge[], clean: readonly Edge[]): Refused[] {
  const key = ({ from, to, protocol, port, exe }: Edge): string =>
    JSON.stringify([from, to, protocol, port, exe])
  const reached = new Set(clean.map(key))
  const attempts = edges.filter((edge) =>
    !edge.established && edge.incident === '' && !reached.has(key(edge)))
  return grouped(linesOf(attempts), ({ from, to, exe }) => JSON.stringify([from, to, exe]))
    .map((lines): Refused => ({ ...toldOf(lines), refusal: 'failed', incident: '' }))
}

/** Many high ports of one kind of client: chosen at run time, so that a list would be outdated. */
function apart(lines: readonly Line[]): { few: Line[], dynamic: Refused[] } {
  const groups = grouped(lines.filter(({ port }) => port >= DYNAMIC_PORT),
    ({ from, to, protocol, exe }) => JSON.stringify([from, to, protocol, exe]))
    .filter((group) => portEntries(group).length > DYNAMIC_PORTS_MAX)
  const dynamic = new Set(groups.flat())
  return {
    few: lines.filter((line) => !dynamic.has(line)),
    dynamic: groups.map((group): Refused => {
      const ports = [`${DYNAMIC_PORT}-65535/${group[0].protocol}`]
      return { ...toldOf(group), ports, refusal: 'dynamic_ports', incident: '' }
    }),
  }
}

/**
 * A program that asks many zones for the same service (a scraper, a health check) is one flow to
 * any zone. Only a known program: it is what keeps such a flow narrow. And no way to command
 * machines: which zones it reaches is said one by one.
 */
function fanOut(
  lines: readonly Line[], zones: readonly string[],
): { everywhere: Told[], rest: Line[] } {
  const everywhere: Told[] = []
  const taken = new Set<Line>()
  for (const group of grouped(lines, ({ from, exe }) => JSON.stringify([from, exe]))) {
    if (group[0].exe === '') continue
    const services = grouped(group, ({ port, protocol }) => `${port}/${protocol}`)
      .filter((service) => {
        const reached = service.filter(({ to }) => zones.includes(to)).length
        const inside = service.every(({ to }) => to !== EXTERNAL_ZONE)
        return inside && !COMMAND_PORTS.includes(service[0].port) &&
          reached >= FAN_OUT_MIN && 2 * reached >= zones.length - 1
      })
    const all = services.flat()
    if (all.length === 0) continue
    for (const line of all) taken.add(line)
    everywhere.push({ ...toldOf(all), to: ANY_ZONE, to_dns: [] })
  }
  return { everywhere, rest: lines.filter((line) => !taken.has(line)) }
}

/** One flow for all services between two zones that the same executables ask for. */
function narrowed(lines: readonly Line[]): Told[] {
  const services = grouped(lines, serviceOf)
  const byClients = grouped(services, (service) =>
    JSON.stringify([service[0].from, service[0].to, executablesOf(service), namesOf(service)]))
  return byClients.map((group) => toldOf(group.flat()))
}

function executablesOf(lines: readonly Line[]): string[] {
  // Whatever asks for a host asks for its name first.
  if (lines.some(({ port }) => port === NAME_PORT)) return []
  const known = [...new Set(lines.map(({ exe }) => exe))].filter((exe) => exe !== '').sort()
  return known.length > EXECUTABLES_MAX ? [] : known
}

/** Names of servers in the rest of the world, when all have some and they are few. */
function namesOf(lines: readonly Line[]): string[] {
  if (lines.some(({ to }) => to !== EXTERNAL_ZONE)) return []
  const names = new Set<string>()
  for (const { names: byServer } of lines) {
    for (const [, list] of byServer) {
      if (list.length === 0) return []
      for (const name of list) names.add(name)
    }
  }
  return names.size > NAMES_MAX ? [] : [...names].sort()
}

function toldOf(lines: readonly Line[]): Told {
  const { from, to } = lines[0]
  const all = (sets: Set<string>[]): string[] =>
    [...new Set(sets.flatMap((set) => [...set]))].sort()
  return {
    ...sumOf(lines), from, to, ports: portEntries(lines),
    executables: executablesOf(lines), to_dns: namesOf(lines),
    openers: all(lines.map(({ openers }) => openers)),
    servers: all(lines.map(({ servers }) => servers)),
  }
}

function cutPorts(told: Told): Told[] {
  const { ports } = told
  const parts = Math.ceil(ports.length / PORTS_MAX)
  return Array.from({ length: parts }, (_, i) =>
    ({ ...told, ports: ports.slice(i * PORTS_MAX, (i + 1) * PORTS_MAX) }))
}

function grouped<T>(list: readonly T[], keyOf: (one: T) => string): T[][] {
  return [...Map.groupBy(list, keyOf).values()]
}

function compareTold(a: Told, b: Told): number {
  const key = ({ from, to, ports, executables }: Told): string =>
    JSON.stringify([from, to, ports, executables])
  return key(a) < key(b) ? -1 : 1
}
