/** How NET-001 tells of a connection. */
import type { Context } from '../detect/context.ts'
import type { HopEnd, Story } from '../detect/finding.ts'
import { wordOf } from '../detect/names/address-names.ts'
import { endpoint, printable } from '../detect/words.ts'
import { DRILL_ZONES } from '../policy/zone-names.ts'
import { parseAddress } from '../proto/address.ts'
import { formatTime } from '../proto/event-json.ts'
import { actorInWords } from './actor.ts'
import type { Crossing, CrossingEnd } from './zone-judgement.ts'

/** Crossings of an incident with the same key are one finding: who, from where, to what. */
export function crossingKey(crossing: Crossing): string {
  const { from, to, opener, accepter, protocol, established } = crossing
  const kind = established ? 'connection' : 'attempt'
  const service = `${endpoint(accepter.address, accepter.port)}/${protocol}`
  return `${kind} ${from} > ${to} ${opener.exe || opener.address} > ${service}`
}

/** The processes are described as they are now. */
export function tellCrossing(crossing: Crossing, context: Context): Story {
  const { from, to, opener, accepter, protocol, established } = crossing
  const rule = missingRule(crossing, context)
  const process = context.processOf(opener.process)
  const accepting = context.processOf(accepter.process)
  const name = nameOf(accepter, context)
  const program = accepting === null ? ''
    : `${printable(accepting.exe || accepting.comm)}, pid ${accepting.pid}`
  const known = [printable(name), program].filter((one) => one !== '').join(': ')
  const server = known === '' ? '' : ` (${known})`
  const node = printable((process ?? accepting)?.node_id ?? '')
  return {
    summary: `${whoIs(opener, context)} in zone ${from} ${verbOf(crossing)} ` +
      `${placeOf(accepter, protocol)}${server} in zone ${to}. ` +
      'No flow of the policy allows it.',
    details: {
      from_zone: from, to_zone: to, protocol, established, at_start: crossing.standing,
      client_name: nameOf(opener, context), server_name: name,
      client: endpoint(opener.address, opener.port),
      server: endpoint(accepter.address, accepter.port),
      process: process === null ? null : context.describe(process),
      accepting_process: accepting === null ? null : context.describe(accepting),
      missing_rule: rule,
    },
    hop: {
      time: formatTime(crossing.wallNs), protocol, established,
      from: hopEnd(opener, from, context), to: hopEnd(accepter, to, context),
    },
    next_steps: [
      process === null ? `Find out who uses ${opener.address}: its node is not watched.`
        : `Look at pid ${process.pid} on ${node} and at what started it.`,
      from === DRILL_ZONES[0] ? 'This is a drill: a person made it, to see this incident raised.'
        : `If this is meant to be, add to the flows of the policy:\n${rule}`,
      established ? 'If not, end the connection and look at what it reached.'
        : 'If not, find out what made the process try.',
    ],
  }
}

/**
 * The `flows:` entry that would allow it. Empty for a drill, which nothing can allow, and when the
 * zones are gone by now.
 */
function missingRule({ from, to, opener, accepter, protocol }: Crossing, context: Context): string {
  const { policy } = context
  const [source, target] = [policy.zones.indexOf(from), policy.zones.indexOf(to)]
  if (source < 0 || target < 0 || DRILL_ZONES.includes(from)) return ''
  const account = context.zones.serviceAccountOf(context.processOf(opener.process))
  return policy.missingFlow(source, target, accepter.port, protocol, opener.exe || null, account)
}

function verbOf({ protocol, established, standing }: Crossing): string {
  if (standing) return 'had, when the agent started, a connection to'
  if (!established) return 'tried to connect to'
  return protocol === 'tcp' || protocol === 'rdma' ? 'connected to' : 'sent datagrams to'
}

/** `10.0.0.1:80/tcp`; protocols without ports have none. */
function placeOf({ address, port }: CrossingEnd, protocol: string): string {
  return `${port === 0 ? address : endpoint(address, port)}/${protocol}`
}

function nameOf({ address, port }: CrossingEnd, context: Context): string {
  return wordOf(context.nameOf(parseAddress(address), 0, port))
}

function whoIs(end: CrossingEnd, context: Context): string {
  const process = context.processOf(end.process)
  if (process !== null) return actorInWords(process, context)
  const name = printable(nameOf(end, context))
  return name === '' ? `Someone at ${end.address}` : `Someone at ${end.address} (${name})`
}

function hopEnd(end: CrossingEnd, zone: string, context: Context): HopEnd {
  const process = context.processOf(end.process)
  const place = { zone, address: end.address, port: end.port }
  if (process === null) return place
  const { node_id, pid, uid } = process
  // The program that it was then: by now it may run another one.
  const exe = end.exe || process.exe
  return { ...place, node_id, workload: context.workloadOf(process), pid, exe, uid }
}
