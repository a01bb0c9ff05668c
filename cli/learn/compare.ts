/** What two policies say differently of the same range of the event log. */
import type { IncidentDiff } from '../../detect/replay.ts'
import { diffIncidents } from '../../detect/replay.ts'
import type { Incident } from '../../detect/incident.ts'
import { sumOf } from '../../policy/learn/edges.ts'
import type { Amounts, Edge } from '../../policy/learn/edges.ts'
import { summed } from '../../policy/learn/stores/access.ts'
import type { Access, Sum } from '../../policy/learn/stores/access.ts'
import type { Policy } from '../../policy/policy.ts'
import { Crossings } from './crossings.ts'
import { extentOf, judge } from './range.ts'
import { StoreAccesses } from './store-accesses.ts'
import type { Extent, Frames } from './range.ts'

/** Connections of which one policy allows what the other does not. */
export interface VerdictChange extends Amounts {
  /** `violation`: the old policy allows them, the new one does not. `allowed`: the other way. */
  now: 'violation' | 'allowed'
  /** Zones by the policy that does not allow it. */
  from: string
  to: string
  port: number
  protocol: string
  established: boolean
  executables: string[]
  openers: string[]
  servers: string[]
}

/** Reads or changes of a store that one policy allows and the other does not. */
export interface StoreChange extends Sum {
  /** `violation`: the new policy does not allow them, and the old one did not forbid them. */
  now: 'violation' | 'allowed'
  store: string
  does: 'read' | 'write'
}

export interface Comparison {
  extent: Extent
  verdicts: VerdictChange[]
  stores: StoreChange[]
  /** `only_live`: under the old policy only. `only_replayed`: under the new one only. */
  incidents: IncidentDiff
  /** Connections of kinds beyond the bound, which are in no verdict. */
  unlisted: number
}

/** Runs all detectors over the range under both policies. `extent.events` 0: nothing is there. */
export function comparePolicies(
  frames: Frames, before: Policy, after: Policy, range: { fromMs: number, toMs: number },
): Comparison {
  const extent = extentOf(frames, range.fromMs, range.toMs)
  const [old, now] = [before, after].map((policy) => {
    const crossings = new Crossings({ ...extent, raise: true })
    const accesses = new StoreAccesses(extent)
    const detectors = [...crossings.detectors, accesses.observer()]
    const { updates } = judge(frames, policy, { detectors }, extent)
    const incidents = updates.map(({ incident }) => incident)
      .filter((one) => touches(one, extent))
    const unlisted = crossings.unlisted + accesses.unlisted
    return { edges: crossings.edges(), accesses: accesses.byProgram(), unlisted, incidents }
  })
  return {
    extent, verdicts: verdictsOf(old.edges, now.edges),
    stores: storeChanges(old.accesses, now.accesses), unlisted: old.unlisted + now.unlisted,
    incidents: diffIncidents(old.incidents, now.incidents),
  }
}

function storeChanges(
  old: ReadonlyMap<string, Access>, now: ReadonlyMap<string, Access>,
): StoreChange[] {
  const changed = [...new Set([...old.keys(), ...now.keys()])].sort().flatMap((key) => {
    const [before, after] = [old.get(key), now.get(key)]
    const isViolation = after?.allowed === false
    return isViolation === (before?.allowed === false) ? []
      : [{ access: (after ?? before)!,
        verdict: isViolation ? 'violation' as const : 'allowed' as const }]
  })
  const groups = Map.groupBy(changed, ({ access: { store, does }, verdict }) =>
    JSON.stringify([verdict, store, does]))
  return [...groups.values()].map((group): StoreChange => {
    const [{ access: { store, does }, verdict }] = group
    return { now: verdict, store, does, ...summed(group.map(({ access }) => access)) }
  }).sort((a, b) => a.now === b.now ? b.bytes - a.bytes : a.now < b.now ? 1 : -1)
}

function touches(incident: Incident, { fromMs, toMs }: Extent): boolean {
  return Date.parse(incident.updated_at) >= fromMs && Date.parse(incident.opened_at) <= toMs
}

/** What stays the same whatever the zones are called. */
function connectionKey({ exe, opener, server, port, protocol, established }: Edge): string {
  return JSON.stringify([exe || opener, server, port, protocol, established])
}

function verdictsOf(old: readonly Edge[], now: readonly Edge[]): VerdictChange[] {
  const byKey = (edges: readonly Edge[]): Map<string, Edge[]> => Map.groupBy(edges, connectionKey)
  const [before, after] = [byKey(old), byKey(now)]
  const changed = [
    ...differences(after, before).map((edge) => ({ edge, now: 'violation' as const })),
    ...differences(before, after).map((edge) => ({ edge, now: 'allowed' as const })),
  ]
  const groups = Map.groupBy(changed, ({ now: verdict, edge }) =>
    JSON.stringify([verdict, edge.from, edge.to, edge.port, edge.protocol, edge.established]))
  return [...groups.entries()].sort(([a], [b]) => a < b ? 1 : -1).map(([, group]) => {
    const edges = group.map(({ edge }) => edge)
    const { from, to, port, protocol, established } = edges[0]
    const names = (list: string[]): string[] =>
      [...new Set(list)].filter((one) => one !== '').sort()
    return {
      ...sumOf(edges), now: group[0].now, from, to, port, protocol, established,
      executables: names(edges.map(({ exe }) => exe)),
      openers: names(edges.map(({ opener }) => opener)),
      servers: names(edges.map(({ server }) => server)),
    }
  })
}

/** Edges of `left` beyond what `right` has of the same connections. */
function differences(left: Map<string, Edge[]>, right: Map<string, Edge[]>): Edge[] {
  return [...left].flatMap(([key, edges]) => {
    let others = (right.get(key) ?? []).reduce((sum, { connections }) => sum + connections, 0)
    return edges.flatMap((edge) => {
      const same = Math.min(others, edge.connections)
      others -= same
      return same === edge.connections ? [] : [{ ...edge, connections: edge.connections - same }]
    })
  })
}
