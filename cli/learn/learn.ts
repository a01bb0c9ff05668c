/** Learns a policy from a range of the event log. Same log, same text. */
import { unitOf } from '../../detect/names/cgroup-table.ts'
import { compilePolicy, EXTERNAL, NO_ZONE } from '../../policy/compile.ts'
import { CensusTaker } from '../../policy/learn/census.ts'
import { StoreCensusTaker } from '../../policy/learn/stores/census.ts'
import type { StoreCensus } from '../../policy/learn/stores/census.ts'
import type { Census, Member } from '../../policy/learn/census.ts'
import type { Edge } from '../../policy/learn/edges.ts'
import { setExposures } from '../../policy/learn/exposures.ts'
import { proposeFlows } from '../../policy/learn/flows.ts'
import type { Refused, Told } from '../../policy/learn/flows.ts'
import { withEntries } from '../../policy/learn/merge.ts'
import { flowLines, refusedLines, spanOf, zoneLines } from '../../policy/learn/told.ts'
import { comment } from '../../policy/learn/yaml-lines.ts'
import { proposeZones } from '../../policy/learn/zones.ts'
import type { ProposedZone, ZoneOptions } from '../../policy/learn/zones.ts'
import { parsePolicy } from '../../policy/parse.ts'
import type { Policy } from '../../policy/policy.ts'
import { parseAddress } from '../../proto/address.ts'
import { BatchCursor } from '../../proto/batch-cursor.ts'
import { CliError } from '../errors.ts'
import { Crossings } from './crossings.ts'
import type { CrossingOptions } from './crossings.ts'
import { checkOfStores, learnStores, storeRemarks, textWithStores } from './stores.ts'
import type { LearnedStores } from './stores.ts'
import { extentOf, judge, partsOf } from './range.ts'
import type { Extent, Frames } from './range.ts'

export interface LearnOptions {
  /** Of the range, wall clock milliseconds. */
  fromMs: number
  toMs: number
  /** Fewer connections than that are rare. */
  connectionsMin: number
  /** Only what it misses is proposed. */
  policy?: Policy
  incidentOf?: CrossingOptions['incidentOf']
  edgesMax?: number
  membersMax?: number
}

/** What was learned. */
export interface Learned {
  /** The whole policy; with a policy to begin with, that one and what it missed. */
  text: string
  zones: ProposedZone[]
  flows: Told[]
  refused: Refused[]
  stores: LearnedStores
  extent: Extent
  nodes: number
  /** Of the range, under the learned policy; those are all among `refused`, but for losses. */
  violations: number
  /** What did not fit into the bounds, or could not be read, in words. */
  lost: string[]
}

/**
 * Reads the range several times: who talks, what passes between the zones that come of it, and, to
 * check, what would violate the result.
 *
 * @throws CliError CLI_NO_DATA when the log holds nothing of the range, CLI_USAGE when nothing can
 *   be put into the text of the policy to begin with
 */
export function learnPolicy(frames: Frames, options: LearnOptions): Learned {
  const { policy } = options
  const extent = extentOf(frames, options.fromMs, options.toMs)
  if (extent.events === 0) {
    throw new CliError('CLI_NO_DATA', 'the event log holds nothing of this range')
  }
  const { census, ofStores } = takeCensus(frames, extent, options)
  const { zones, refused: zonesRefused } = proposeZones(census, zoneOptions(policy))
  const { edges, lost } = crossingsOf(frames, extent, census, zones, options)
  let draft = draftOf(edges, zones, options, true)
  let check = checkOf(frames, extent, draft.text, options)
  if (draft.flows.some(({ to_dns }) => to_dns.length > 0) && exceeds(check, draft)) {
    // Not every address had its name at the time.
    draft = draftOf(edges, zones, options, false)
    check = checkOf(frames, extent, draft.text, options)
  }
  const violations = check.reduce((sum, { connections }) => sum + connections, 0)
  const stores = learnStores(frames, extent, parsed(draft.text), policy, ofStores, {
    reportsMin: options.connectionsMin, incidentOf: options.incidentOf,
    namesOf: (address) => census.names.get(address) ?? [],
  })
  const body = textWithStores(draft.text, stores, ofStores, policy, zoneNames(draft.zones, policy))
  const found = checkOfStores(frames, extent, parsed(body))
  lost.push(...lossesOf(census, extent, zonesRefused), ...stores.lost)
  const head = headOf(extent, census, violations, [found, ...lost.map((what) =>
    `Not complete: ${what}.`)], options)
  const { flows, refused } = draft
  const tail = [refusedLines(refused), storeRemarks(stores)].filter((part) => part.length > 0)
    .map((part) => `\n${part.join('\n')}\n`).join('')
  return {
    text: `${head.join('\n')}\n${body}${tail}`, zones: draft.zones, flows, refused, stores, extent,
    nodes: census.nodes.size, violations, lost,
  }
}

function zoneNames(zones: readonly ProposedZone[], policy: Policy | undefined): string[] {
  return [...zones, ...policy?.zones ?? []].map(({ name }) => name)
}

function takeCensus(
  frames: Frames, extent: Extent, { membersMax }: LearnOptions,
): { census: Census, ofStores: StoreCensus } {
  const taker = new CensusTaker({ membersMax })
  const ofStores = new StoreCensusTaker()
  const cursor = new BatchCursor()
  const { fromMs, toMs } = extent
  for (const { batch } of partsOf(frames, extent)) {
    cursor.forEach(batch, (event) => {
      const inRange = event.time_ms >= fromMs && event.time_ms <= toMs
      taker.take(event, inRange)
      ofStores.take(event, inRange)
    })
  }
  return { census: taker.finish(), ofStores: ofStores.finish() }
}

function zoneOptions(policy: Policy | undefined): ZoneOptions {
  if (policy === undefined) return {}
  const compiled = compilePolicy(policy)
  return {
    taken: policy.zones.map(({ name }) => name),
    isZoned: (member: Member) => compiled.zoneOfProcess({
      ...member, systemd_unit: unitOf(member.cgroup_path),
      service_account: member.service_account === '' ? ''
        : `${member.namespace}/${member.service_account}`,
    }) !== NO_ZONE || [...member.addresses].some((address) => holds(address)),
    isZonedAddress: (address: string) => holds(address),
  }
  function holds(address: string): boolean {
    return compiled.zoneOfAddress(parseAddress(address), 0) !== EXTERNAL
  }
}

function crossingsOf(
  frames: Frames, extent: Extent, census: Census, zones: ProposedZone[], options: LearnOptions,
): { edges: Edge[], lost: string[] } {
  const crossings = new Crossings({
    fromMs: extent.fromMs, toMs: extent.toMs, edgesMax: options.edgesMax,
    incidentOf: options.incidentOf, namesOf: (address) => census.names.get(address) ?? [],
  })
  const text = textOf(zones, [], options.policy)
  const { counters } = judge(frames, parsed(text), crossings, extent)
  const lost: string[] = []
  if (crossings.unlisted > 0) {
    lost.push(`${crossings.unlisted} connections of kinds beyond the bound were not looked at`)
  }
  const evictions = counters.evictions['NET-001'] ?? 0
  if (evictions > 0) lost.push(`${evictions} connections were open too long at once to count`)
  if (counters.pairing_evictions > 0) {
    lost.push(`${counters.pairing_evictions} ends of connections did not wait for the other end`)
  }
  return { edges: crossings.edges(), lost }
}

function draftOf(
  edges: readonly Edge[], found: readonly ProposedZone[], options: LearnOptions, names: boolean,
): { text: string, zones: ProposedZone[], flows: Told[], refused: Refused[] } {
  const zones = found.map((zone) => ({ ...zone, evidence: [...zone.evidence] }))
  const all = zoneNames(zones, options.policy)
  const { connectionsMin } = options
  const { flows, refused } = proposeFlows(edges, { zones: all, connectionsMin, names })
  setExposures(zones, flows)
  return { text: textOf(zones, flows, options.policy), zones, flows, refused }
}

/** What violates the result. */
function checkOf(frames: Frames, extent: Extent, text: string, options: LearnOptions): Edge[] {
  const crossings = new Crossings({ ...extent, edgesMax: options.edgesMax })
  judge(frames, parsed(text), crossings, extent)
  return crossings.edges().filter(({ established }) => established)
}

function exceeds(check: readonly Edge[], { refused }: { refused: readonly Refused[] }): boolean {
  const sum = (list: readonly { connections: number }[]): number =>
    list.reduce((total, { connections }) => total + connections, 0)
  return sum(check) > sum(refused.filter(({ refusal }) => refusal !== 'failed'))
}

function textOf(zones: ProposedZone[], flows: Told[], base: Policy | undefined): string {
  const entries = { zones: zoneLines(zones), flows: flowLines(flows) }
  if (base === undefined) {
    return ['version: 1', ...entries.zones.length > 0 ? ['', 'zones:', ...entries.zones] : [],
      ...entries.flows.length > 0 ? ['', 'flows:', ...entries.flows] : [], ''].join('\n')
  }
  const text = withEntries(base.text, entries)
  if (text !== null) return text
  throw new CliError('CLI_USAGE', 'nothing can be added to this policy: write its zones and ' +
    'flows as lists with a dash for each entry, not with [ ]')
}

/** What we write must be a policy: anything else is a defect. */
function parsed(text: string): Policy {
  const { policy, problems } = parsePolicy(text)
  if (policy !== null) return policy
  const [{ line, message }] = problems
  throw new Error(`the learned policy does not parse: line ${line}: ${message}\n${text}`)
}

function lossesOf(census: Census, extent: Extent, zonesRefused: number): string[] {
  return [
    ...census.unlisted > 0
      ? [`${census.unlisted} times a process, address or node beyond the bounds was not kept`] : [],
    ...zonesRefused > 0 ? [`${zonesRefused} zones are more than a policy holds`] : [],
    ...extent.malformed.size > 0 ? [`${extent.malformed.size} batches could not be read`] : [],
  ]
}

function headOf(
  extent: Extent, census: Census, violations: number, remarks: string[], options: LearnOptions,
): string[] {
  const span = spanOf({ first_ms: extent.fromMs, last_ms: extent.toMs })
  const amount = (count: number, what: string): string =>
    `${count} ${what}${count === 1 ? '' : 's'}`
  return [
    ...comment(`Learned from the event log, ${span}: ${amount(census.nodes.size, 'node')}, ` +
      `${amount(census.ends, 'event')} about connections.` +
      (options.policy === undefined ? '' : ' Only what the policy missed was added.'), ''),
    ...comment('Read every rule before it is put in force: that something happened does not mean ' +
      'that it should. Each says what it was seen to be.', ''),
    ...comment(violations === 0 ? 'Checked: nothing in this range violates it.'
      : `Checked: ${amount(violations, 'connection')} of this range violate it; they are among ` +
        'what is not proposed, at the end.', ''),
    ...remarks.filter((one) => one !== '').flatMap((one) => comment(one, '')),
  ]
}
