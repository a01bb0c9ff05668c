/** How STO-007 tells of data that left. */
import type { Context } from '../../../detect/context.ts'
import type { Hop, Json, Severity, Story } from '../../../detect/finding.ts'
import { flag } from '../../../detect/graph/connection-columns.ts'
import { bytesInWords, endpoint, printable } from '../../../detect/words.ts'
import { DRILL_ZONES } from '../../../policy/zone-names.ts'
import { tellHop } from '../../lateral-story.ts'
import { isInChain, mainParcel } from './carrier.ts'
import type { Carrier, Outlet } from './carrier.ts'

const TARGETS_TOLD_MAX = 3

/**
 * @param origin the tree that read it, and that all others have it from
 * @param before the trees that it went through, in order, without `carrier` itself
 * @param outlets where it went, the largest first
 */
export function tellLeft(
  carrier: Carrier, origin: Carrier, before: readonly Carrier[], outlets: readonly Outlet[],
  context: Context,
): Story {
  const { stores, bytes: bytesIn } = mainParcel(carrier)
  const bytesRead = origin.parcels.get(origin.key)?.bytes ?? bytesIn
  const bytesOut = bytesOf(outlets)
  const percent = Math.round(100 * bytesOut / bytesIn)
  // Of what the first one read: it may have been packed on the way.
  const readPercent = Math.round(100 * bytesOut / Math.max(1, bytesRead))
  const places = outlets.map(placeOf)
  const names = [...stores.keys()].flatMap((one) => one === '' ? [] : [printable(one)])
  const over = before.slice(1).map(({ who }) => who)
  const through = carrier === origin ? '' : `, over ${[...over, carrier.who].join(' and ')}`
  const process = context.processOf(origin.process)
  return {
    summary: `${origin.who} read ${bytesInWords(bytesRead)} of ${storesInWords(names)}; ` +
      `then ${bytesInWords(bytesOut)}, ${percent}% of what it had in hand` +
      `${carrier === origin ? '' : ` (${readPercent}% of what was read)`}, went to ` +
      `${places.slice(0, TARGETS_TOLD_MAX).join(', ')}` +
      `${places.length > TARGETS_TOLD_MAX ? ' and others' : ''}${through}. ${whyNot(outlets)}`,
    details: {
      stores: Object.fromEntries([...stores].map(([name, bytes]) =>
        [name || 'others', Math.round(bytes)])),
      bytes_read: Math.round(bytesRead), bytes_in: Math.round(bytesIn),
      bytes_out: bytesOut, ratio_percent: percent, ratio_read_percent: readPercent,
      path: [names.map((name) => `store ${name}`).join(', '),
        ...before.map(({ who }) => who), carrier.who, places[0]],
      targets: outlets.map(({ target, bytes }): Json => ({
        address: target.address, port: target.port, protocol: target.protocol,
        zone: target.zone, bytes, allowed: target.allowed,
      })),
      process: process === null ? null : context.describe(process),
    },
    hops: hopsOf(carrier, origin, outlets, context),
    next_steps: nextSteps(carrier, origin, outlets),
  }
}

export function bytesOf(outlets: readonly Outlet[]): number {
  return outlets.reduce((sum, { bytes }) => sum + bytes, 0)
}

/** By where it went, and by the stores that it is of. */
export function severityOf(
  carrier: Carrier, outlets: readonly Outlet[], context: Context,
): Severity {
  const sensitive = [...mainParcel(carrier).stores.keys()].some((name) => {
    const sensitivity = context.policy.stores.get(name)?.sensitivity
    return sensitivity === 'confidential' || sensitivity === 'restricted'
  })
  const outside = outlets.some(({ target }) => target.outside)
  return outside && sensitive ? 'critical' : outside || sensitive ? 'high' : 'medium'
}

/** How somebody came to the one that read, then how the data went: each connection once. */
function hopsOf(
  carrier: Carrier, origin: Carrier, outlets: readonly Outlet[], context: Context,
): Hop[] {
  const out = outlets.flatMap(({ hop }) => hop ?? [])
  const hops = new Map<string, Hop>()
  for (const hop of [...wayIn(origin, context), ...mainParcel(carrier).hops, ...out]) {
    const ends = [hop.from, hop.to].map(({ address, port }) => `${address} ${port}`)
    hops.set(ends.join(' '), hop)
  }
  return [...hops.values()]
}

/** The chain over which somebody came to the one that read; empty when none was raised. */
function wayIn(origin: Carrier, context: Context): Hop[] {
  const { columns } = context.graph.connections
  for (const [slot, serial] of origin.ways) {
    if (!isInChain(slot, serial, context)) continue
    const actor = context.processOf(columns.client.get(slot))
    const [steps = []] = context.pathsTo(slot, actor)
    return steps.map((step, i) => {
      const process = context.processOf(step.actor || columns.client.get(step.connection))
      const zones = context.zonesOfConnection(step.connection, process)
      return tellHop(step, steps[i - 1] ?? null, zones, context)
    })
  }
  return []
}

/** Whose findings are part of the story: all who had it, who told them to, and who has it now. */
export function subjectsOf(
  carrier: Carrier, before: readonly Carrier[], outlets: readonly Outlet[], context: Context,
): string[] {
  const subjects = [...before, carrier].flatMap((one) => {
    const process = context.processOf(one.process)
    return [one.subject, ...(process === null ? [] : context.chainOf(process)),
      ...callersOf(one, context)]
  })
  const { columns } = context.graph.connections
  for (const { target, slot, serial } of outlets) {
    const alive = slot >= 0 && columns.serial.get(slot) === serial
    const other = alive ? otherEnd(slot, carrier, context) : null
    if (other !== null) subjects.push(other)
    else if (target.outside) subjects.push(`address ${target.address}`)
  }
  return [...new Set(subjects)]
}

/** Who told the readers what to do, where it was more than a login or a request. */
function callersOf({ process: number, ways }: Carrier, context: Context): string[] {
  const origins = context.processOf(number)?.origins
  return (origins?.inherited ?? []).flatMap(({ connection: slot, serial, of, tainted }) => {
    if (!tainted || of > 1 || ways.get(slot) !== serial) return []
    const caller = context.processOf(context.graph.connections.columns.client.get(slot))
    return caller === null ? [] : [context.subjectOf(caller)]
  })
}

function otherEnd(slot: number, carrier: Carrier, context: Context): string | null {
  const { client, server, flags } = context.graph.connections.columns
  const both = flag.clientSeen | flag.serverSeen
  if ((flags.get(slot) & both) !== both) return null
  const ends = [client, server].flatMap((column) => context.processOf(column.get(slot)) ?? [])
  const subjects = ends.map((process) => context.subjectOf(process))
  return subjects.find((subject) => subject !== carrier.subject) ?? null
}

function storesInWords(names: readonly string[]): string {
  if (names.length === 0) return 'stores'
  return `${names.length === 1 ? 'store' : 'stores'} ${names.join(', ')}`
}

function placeOf({ target: { address, port, protocol, zone } }: Outlet): string {
  const place = port === 0 ? address : `${endpoint(address, port)}/${protocol}`
  return `${place} in zone ${zone}`
}

function whyNot(outlets: readonly Outlet[]): string {
  return outlets.every(({ target }) => target.allowed)
    ? 'A flow allows connections there, but an intruder is at their beginning.'
    : 'No flow of the policy allows it.'
}

function nextSteps(carrier: Carrier, origin: Carrier, outlets: readonly Outlet[]): string[] {
  const [first] = outlets
  const nodes = [...new Set([origin.node_id, carrier.node_id])].map((node) => printable(node))
  return [
    ...(DRILL_ZONES.includes(first.target.zone)
      ? ['This is a drill: a person made it, to see this incident raised.'] : []),
    `Cut it: block ${placeOf(first)}, and stop ${carrier.who}.`,
    `Keep memory and disk of ${nodes.join(' and ')} before anything is restarted.`,
    'Find out whose data it was: the store, and which of its files were read.',
    'If this is meant to be, a copy to a partner for example, allow the flow in the policy, with '
      + 'the executable that may do it.',
  ]
}
