import { defineDetector } from '../../detect/detector.ts'
import type { Context } from '../../detect/context.ts'
import type { Story } from '../../detect/finding.ts'
import type { EventViews } from '../../proto/gen/events.ts'
import { isOfChain, mainParcel } from './leaving/carrier.ts'
import type { Carrier, Outlet } from './leaving/carrier.ts'
import { Carriers, newCarriers } from './leaving/carriers.ts'
import type { CarrierState } from './leaving/carriers.ts'
import { leavingExamples } from './leaving/examples.ts'
import { legsOf, targetOfEvent } from './leaving/legs.ts'
import type { Carrying } from './leaving/legs.ts'
import { bytesOf, severityOf, subjectsOf, tellLeft } from './leaving/story.ts'

type Reading = EventViews['store_read']

/** Less is no data: a request and its answer. */
const LEG_BYTES_MIN = 65_536
/** What is told is told again when it has grown so much. */
const MORE = 1.25
/** A chain over which somebody came may be raised so much later than what left. */
const AGAIN_MS = 5000
const AGAIN_MAX = 256
const [fires, quiet] = leavingExamples

export default defineDetector({
  id: 'STO-007',
  title: 'Data of a store was read, then sent away',
  severity: 'high',
  maturity: 'experimental',
  attack: ['T1041', 'T1048', 'T1567', 'T1020'],
  atlas: ['AML.T0025', 'AML.TA0010'],
  blindSpots: [
    'What is written to a file by one tree of processes, and sent by another one: STO-006 sees the '
      + 'copy.',
    'What goes from tree to tree within a node, over Unix sockets or shared memory.',
    'What is sent along a flow that the policy allows, unless an intruder came over a chain that '
      + 'was raised.',
    'Over RDMA and vsock: the bytes of those connections are not counted.',
    'Within a node without an agent: data that goes through it ends there.',
    'Less than the thresholds: little by little is for STO-008.',
    'Of a connection that stood before the read, what was sent since it was last counted and '
      + 'before the read is taken for data.',
  ],
  runbook: 'The path names who read what, over which trees of processes it went, and where it '
    + 'left; the ratio says how much of it: under one hundred percent it was packed, or only a '
    + 'part. Block the last address first. Then find the beginning: how did somebody come to the '
    + 'process that read? Keep memory and disks. What left cannot be called back: tell those '
    + 'whose data it is. A copy that is meant to be needs a flow with its executable.',
  needs: ['store_read', 'connection_close', 'connection_totals', 'connection_repeat',
    'datagram_flow'],
  afterOthers: true,
  settings: {
    bytes_min: 8 << 20, ratio_percent_min: 10, bytes_large: 1 << 30, window_ms: 3_600_000,
  },
  key: (event, { policy }) => event.kind === 'store_read' ? 'carriers'
    // Where there are no stores, connections cost nothing.
    : policy.stores.all.length > 0 &&
      (event.bytes_sent >= LEG_BYTES_MIN || event.bytes_received >= LEG_BYTES_MIN) ? 'carriers'
    : null,
  state: { initial: newCarriers, keysMax: 1, idleMs: 365 * 24 * 3_600_000 },
  evaluate(event, state, context) {
    const ends = event.kind === 'connection_close'
    const known = new Carriers(state, context, (one) => judge(one, ends, state, context))
    onRead(event, known, context)
    if (event.kind === 'store_read') return
    const slot = context.graph.current
    if (event.kind !== 'connection_repeat' && slot >= 0) {
      for (const leg of legsOf(event, slot, context)) {
        if (leg.bytes >= LEG_BYTES_MIN) known.sent(leg)
      }
    } else onSentBeside(event, known, context)
  },
  wake(state, context) {
    const again = [...state.again].flatMap((key) => state.carriers.get(key) ?? [])
    state.again.clear()
    for (const carrier of again) judge(carrier, true, state, context)
  },
  examples: [...fires, ...quiet],
})

/** Bytes of a file, or of a database or object store that answered. */
function onRead(event: Reading | Carrying, known: Carriers, context: Context): void {
  const { process, policy, stores: { current } } = context
  const isRead = event.kind === 'store_read'
  const { store, bytes } = isRead ? event : current ?? { store: '', bytes: 0 }
  if (process === null || store === '' || bytes === 0) return
  if (policy.stores.get(store)?.sensitivity === 'public') return
  known.read(process, store, bytes, event.time_ms - event.duration_ns / 1e6, event.time_ms)
}

function onSentBeside(event: Carrying, known: Carriers, context: Context): void {
  if (context.process === null) return
  const target = targetOfEvent(event, context)
  known.sentBeside(context.process, target, event.bytes_sent, event.time_ms)
}

/**
 * More is known of a tree: what it has, or what it sent.
 *
 * @param ends a connection ended: what it carried is known for good
 */
function judge(carrier: Carrier, ends: boolean, state: CarrierState, context: Context): void {
  const outlets = outletsOf(carrier, context)
  const bytesOut = bytesOf(outlets)
  const { told } = carrier
  const { bytes: bytesIn } = mainParcel(carrier)
  const least = context.setting('bytes_min')
  if (carrier.outlets.size > outlets.length) lookAgain(carrier, state, context)
  if (bytesIn < least || bytesOut < least) return
  const isPart = 100 * bytesOut < context.setting('ratio_percent_min') * bytesIn
  if (isPart && bytesOut < context.setting('bytes_large')) return
  const open = told?.incident && context.isOpen(told.incident) ? told : null
  const much = Math.max(bytesIn / (open?.bytesIn ?? 1), bytesOut / (open?.bytesOut ?? 1)) >= MORE
  if (open !== null && !much && !(ends && bytesOut > open.bytesOut)) return
  raise(carrier, outlets, open, state, context)
}

function raise(
  carrier: Carrier, outlets: readonly Outlet[], open: Carrier['told'], state: CarrierState,
  context: Context,
): void {
  const before = mainParcel(carrier).from.flatMap((key) => state.carriers.get(key) ?? [])
  const tell = (): Story => {
    const story = tellLeft(carrier, before[0] ?? carrier, before, outlets, context)
    // More may have had it in hand than is known.
    if (state.forgotten > 0) story.details['trees_forgotten'] = state.forgotten
    return story
  }
  const [subject, ...joins] = subjectsOf(carrier, before, outlets, context)
  const severity = severityOf(carrier, outlets, context)
  const evidence = evidenceOf(carrier, outlets)
  const places = placesOf(carrier, before, outlets)
  const [bytesIn, bytesOut] = [Math.round(mainParcel(carrier).bytes), bytesOf(outlets)]
  const totals = {
    bytes_in: bytesIn - (open?.bytesIn ?? 0), bytes_out: bytesOut - (open?.bytesOut ?? 0),
  }
  const lastMs = Math.max(...outlets.map((outlet) => outlet.lastMs))
  const wallNs = BigInt(Math.round(lastMs * 1000)) * 1000n
  const key = keyOf(carrier)
  let incident = open?.incident ?? null
  if (incident !== null) {
    const { summary, details, hops, next_steps } = tell()
    context.amend(incident, key,
      { summary, details, hops, next_steps, severity, joins, totals, wallNs, ...places })
  } else {
    incident = context.report(
      { key, subject, joins, severity, evidence, totals, wallNs, ...places, tell })
  }
  carrier.told = { incident, bytesIn, bytesOut }
}

/** What a flow allows counts when an intruder uses it, which may become known in a moment. */
function lookAgain(
  { key, outlets }: Carrier, { again }: CarrierState, context: Context,
): void {
  const least = context.setting('bytes_min')
  if (![...outlets.values()].some(({ target, bytes }) => target.outside && bytes >= least)) return
  if (again.has(key) || again.size >= AGAIN_MAX) return
  again.add(key)
  if (again.size === 1) context.wakeIn(AGAIN_MS)
}

/** Those that count: no flow allows them, or an intruder uses what one allows. */
function outletsOf(carrier: Carrier, context: Context): Outlet[] {
  if (carrier.outlets.size === 0) return []
  return [...carrier.outlets.values()].filter((outlet) =>
    !outlet.target.allowed || (outlet.target.outside && isOfChain(carrier, outlet, context)))
    .sort((a, b) => b.bytes - a.bytes)
}

function keyOf({ evidence: [first], key }: Carrier): string {
  return `left ${key} ${first?.node_id ?? ''} ${first?.seq ?? 0}`
}

function evidenceOf(carrier: Carrier, outlets: readonly Outlet[]) {
  return [...carrier.evidence, ...outlets.flatMap(({ hop }) => hop?.evidence ?? [])]
}

function placesOf(carrier: Carrier, before: readonly Carrier[], outlets: readonly Outlet[]) {
  const all = [...before, carrier]
  const ends = [...mainParcel(carrier).hops, ...outlets.flatMap(({ hop }) => hop ?? [])]
    .flatMap(({ from, to }) => [from, to])
  return {
    nodes: [...new Set([...all.map(({ node_id: node }) => node),
      ...ends.flatMap(({ node_id: node }) => node ?? [])])],
    workloads: [...new Set(all.map(({ workload }) => workload))],
    zones: [...new Set([...ends, ...outlets.map(({ target }) => target)].map(({ zone }) => zone))],
    stores: [...mainParcel(carrier).stores.keys()].filter((name) => name !== ''),
  }
}
