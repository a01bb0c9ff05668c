/**
 * Whom addresses stand for: pods, Services, nodes, and what name servers said. From the events
 * `address_seen`, `node_seen` and `dns_answer`, so that a replay knows what was known live.
 * Bounded.
 */
import { isLoopback } from '../../policy/match/cidr.ts'
import { parseAddress } from '../../proto/address.ts'
import type { AddressSeenView, DnsAnswerView, NodeSeenView } from '../../proto/gen/events.ts'
import { AddressSlots } from './address-slots.ts'
import { NodeTable } from './node-table.ts'
import type { NodeFacts, NodeTableSnapshot } from './node-table.ts'

/** A name that a name server gave for an address; plain data. */
export interface DnsName {
  name: string
  /** Watermark until which it counts. */
  untilMs: number
  /** Address of the name server, 16 bytes. */
  server: Uint8Array
}

/** What an address stands for. Belongs to the table: read it at once, do not keep or change it. */
export interface AddressName {
  /** `pod`, `service`, `node`, `external`, or '' when a name server is all that knows it. */
  kind: string
  /** Such as `pod:team-a/llm-0`, `service:team-a/llm`, `node:gpu-07`; '' when not known. */
  workload: string
  namespace: string
  /** Of the pod, without its namespace. */
  service_account: string
  labels: readonly string[]
  /** The node that it is on; '' when not known, or on many. */
  on_node: string
  /** A Service: the other end sees another address. */
  translated: boolean
  /** Names from DNS answers, the newest first. */
  dns: readonly DnsName[]
  /** Watermark since which the workload is this one; 0 when that is not known. */
  sinceMs: number
  /** For the engine: watermark until which all of this holds. */
  untilMs: number
}

/** What an `address_seen` event says; plain data. */
interface Fact {
  kind: string
  workload: string
  namespace: string
  service_account: string
  labels: string[]
  on_node: string
  translated: boolean
  /** Watermark when this workload was first told to have the address. */
  sinceMs: number
  /** Watermark until which it counts; Infinity while it is not gone. */
  untilMs: number
}

interface Entry {
  number: number
  bytes: Uint8Array
  /** By port; 0 for all ports. */
  facts: Map<number, Fact>
  /** Nodes with an interface of this address. Two or more: it is no node's own. */
  nodes: string[]
  dns: DnsName[]
  touchedMs: number
}

/** An entry with what was derived from it, which is no part of snapshots. */
interface Known extends Entry {
  slot: number
  /** What `find` gives, by port. */
  names: Map<number, AddressName>
}

export type AddressNamesSnapshot = {
  /** With its slot each, so that what makes room for what stays the same. */
  entries: (Entry & { slot: number })[]
  /** Addresses that fit without growing. */
  room: number
  nextNumber: number
  evictions: number
  nodes: NodeTableSnapshot
}

/** Instead of a zone: it has to be found. */
export const NOT_KEPT = -2

/** Facts that are gone still count so long: events of other nodes may lag behind. */
const LAG_MS = 120_000
/** A program may use a name that it asked for a while after its time to live. */
const DNS_GRACE_MS = 3_600_000
/** The time to live is the word of a stranger. */
const TTL_S_MAX = 86_400
const DNS_NAMES_MAX = 4
const PORTS_MAX = 64
const LABELS_MAX = 64

export class AddressNames {
  /** Addresses that were forgotten to make room. */
  evictions = 0
  readonly nodes = new NodeTable()
  private readonly slots = new AddressSlots()
  /** By slot. */
  private known: (Known | undefined)[] = []
  private readonly addressesMax: number
  private count = 0
  private nextNumber = 1

  constructor(addressesMax = 65_536) {
    this.addressesMax = addressesMax
  }

  get size(): number { return this.count }

  /**
   * What is known of the 16 bytes at `at`, null when nothing is. Allocates nothing once asked.
   *
   * @param port where the address listens: a Service may be on one port only; 0: not known
   * @param nowMs the watermark
   */
  find(bytes: Uint8Array, at: number, port: number, nowMs: number): AddressName | null {
    const known = this.knownOf(bytes, at)
    if (known === null) return null
    const place = known.facts.has(port) ? port : 0
    let name = known.names.get(place)
    if (name === undefined || nowMs > name.untilMs) {
      name = nameAt(known, place, nowMs)
      known.names.set(place, name)
    }
    return name.kind === '' && name.dns.length === 0 ? null : name
  }

  /**
   * The zone that `keepZone` kept, `NOT_KEPT` when there is none that holds.
   *
   * @param policyNumber another one makes the zones that were kept stale
   * @param none for an address of which nothing is known
   */
  keptZone(
    bytes: Uint8Array, at: number, nowMs: number, policyNumber: number, none: number,
  ): number {
    if (this.count === 0) return none
    const { slots } = this
    const slot = slots.find(bytes, at)
    if (slot < 0) return none
    return slots.zonePolicy[slot] === policyNumber && nowMs <= slots.zoneUntilMs[slot]
      ? slots.zone[slot] : NOT_KEPT
  }

  /** Keeps a zone that goes by `name`, which `find` gave, where the port makes no difference. */
  keepZone(
    bytes: Uint8Array, at: number, name: AddressName | null, policyNumber: number, zone: number,
  ): void {
    const { slots } = this
    const slot = slots.find(bytes, at)
    const { facts } = this.known[slot]!
    if (facts.size > 1 || (facts.size === 1 && !facts.has(0))) return
    slots.zone[slot] = zone
    slots.zonePolicy[slot] = policyNumber
    slots.zoneUntilMs[slot] = name?.untilMs ?? Infinity
  }

  /** Takes over an `address_seen` event. */
  addressSeen(event: AddressSeenView, nowMs: number): void {
    const { columns, row, port, workload } = event
    const known = event.gone ? this.knownOf(columns.seen_addr, 16 * row)
      : this.use(columns.seen_addr, 16 * row, nowMs)
    if (known === null) return
    const before = known.facts.get(port)
    if (event.gone) {
      // What has the address by now has said so before the one that left.
      if (before === undefined || before.workload !== workload) return
      before.untilMs = Math.min(before.untilMs, nowMs + LAG_MS)
    } else {
      if (before === undefined) this.makeRoom(known.facts, nowMs)
      known.facts.set(port, {
        kind: event.address_kind || 'external', workload, namespace: event.namespace,
        service_account: event.service_account, labels: event.labels.slice(0, LABELS_MAX),
        on_node: event.on_node, translated: event.translated,
        sinceMs: before?.workload === workload ? before.sinceMs : nowMs, untilMs: Infinity,
      })
    }
    this.changed(known)
  }

  private makeRoom(facts: Map<number, Fact>, nowMs: number): void {
    if (facts.size < PORTS_MAX) return
    for (const [port, { untilMs }] of facts) if (untilMs < nowMs) facts.delete(port)
    if (facts.size < PORTS_MAX) return
    facts.delete(facts.keys().next().value!)
    this.evictions++
  }

  /** Takes over a `node_seen` event; true when it says something new of the node. */
  nodeSeen(event: NodeSeenView, nowMs: number): boolean {
    const facts: NodeFacts = {
      node_id: event.node_id, group: event.node_group, labels: event.labels,
      partitions: event.slurm_partitions, addresses: event.addresses, touchedMs: nowMs,
    }
    const before = this.nodes.learn(facts, (leaving) => this.disown(leaving))
    if (before === 'same') return false
    if (before !== null) this.disown(before)
    const now = this.nodes.get(event.node_id)!
    for (const text of now.addresses) {
      const bytes = bytesOf(text)
      if (bytes === null) continue
      const known = this.use(bytes, 0, nowMs)
      if (!known.nodes.includes(now.node_id)) known.nodes.push(now.node_id)
      this.changed(known)
    }
    return true
  }

  private disown({ node_id, addresses }: NodeFacts): void {
    for (const text of addresses) {
      const bytes = bytesOf(text)
      const known = bytes === null ? null : this.knownOf(bytes, 0)
      if (known === null) continue
      known.nodes = known.nodes.filter((one) => one !== node_id)
      this.changed(known)
    }
  }

  /** Takes over a `dns_answer` event. */
  dnsAnswer(event: DnsAnswerView, nowMs: number): void {
    const { name, columns, row } = event
    if (event.response_code !== 0 || name === '') return
    const untilMs = nowMs + Math.min(event.ttl_s, TTL_S_MAX) * 1000 + DNS_GRACE_MS
    const server = columns.server_addr.slice(16 * row, 16 * row + 16)
    for (const text of event.addresses) {
      const bytes = bytesOf(text)
      if (bytes === null) continue
      const known = this.use(bytes, 0, nowMs)
      const others = known.dns.filter((one) => one.name !== name && one.untilMs >= nowMs)
      known.dns = [{ name, untilMs, server }, ...others].slice(0, DNS_NAMES_MAX)
      this.changed(known)
    }
  }

  private knownOf(bytes: Uint8Array, at: number): Known | null {
    if (this.count === 0) return null
    const slot = this.slots.find(bytes, at)
    return slot < 0 ? null : this.known[slot]!
  }

  private changed(known: Known): void {
    known.names.clear()
    this.slots.zonePolicy[known.slot] = -1
  }

  private use(bytes: Uint8Array, at: number, nowMs: number): Known {
    const found = this.knownOf(bytes, at)
    if (found !== null) {
      found.touchedMs = nowMs
      return found
    }
    if (this.count >= this.addressesMax) this.evict(nowMs)
    else if (this.count >= this.slots.comfortable) this.rebuild(this.all(), 2 * this.count)
    return this.insert({
      number: this.nextNumber++, bytes: bytes.slice(at, at + 16), facts: new Map(), nodes: [],
      dns: [], touchedMs: nowMs,
    })
  }

  private insert(entry: Entry): Known {
    const { touchedMs: nowMs } = entry
    const slot = this.slots.insert(entry.bytes, (slots) => {
      this.count--
      this.evictions++
      return slots.toSorted((a, b) => byWorth(this.known[a]!, this.known[b]!, nowMs))[0]
    })
    this.count++
    return this.known[slot] = { ...entry, slot, names: new Map() }
  }

  /** Forgets a sixteenth: what counts no more, then what only name servers said, then the rest. */
  private evict(nowMs: number): void {
    const order = this.all().sort((a, b) => byWorth(a, b, nowMs))
    const staying = order.slice(Math.max(1, this.addressesMax >> 4))
    this.evictions += order.length - staying.length
    this.rebuild(staying, this.count)
  }

  private rebuild(entries: Entry[], addresses: number): void {
    this.slots.reset(addresses)
    this.known = []
    this.count = 0
    for (const entry of entries.sort((a, b) => a.number - b.number)) this.insert(entry)
  }

  private all(): Known[] {
    return this.known.filter((known) => known !== undefined)
  }

  snapshot(): AddressNamesSnapshot {
    const entries = this.all().sort((a, b) => a.number - b.number)
      .map(({ number, bytes, facts, nodes, dns, touchedMs, slot }) => {
        return { number, bytes, facts, nodes, dns, touchedMs, slot }
      })
    const { nextNumber, evictions, slots: { comfortable: room } } = this
    return { entries, room, nextNumber, evictions, nodes: this.nodes.snapshot() }
  }

  /** Takes over what `snapshot` gave, which must not be used again; this one must be empty. */
  restore(from: AddressNamesSnapshot): void {
    this.slots.reset(from.room)
    for (const entry of from.entries) {
      this.slots.place(entry.slot, entry.bytes)
      this.known[entry.slot] = { ...entry, names: new Map() }
      this.count++
    }
    this.nextNumber = from.nextNumber
    this.evictions = from.evictions
    this.nodes.restore(from.nodes)
  }
}

/** The word for people: the workload, else the newest DNS name, else ''. */
export function wordOf(name: AddressName | null): string {
  return name === null ? '' : name.workload || (name.dns[0]?.name ?? '')
}

/**
 * What counts now. A pod or Service says more than the interface of a node, since both may be
 * behind an address of the node; the node itself says more than what others say of it.
 */
function nameAt(known: Entry, port: number, nowMs: number): AddressName {
  const fact = [port, 0].map((one) => known.facts.get(one))
    .find((one) => one !== undefined && one.untilMs >= nowMs) ?? null
  const own = known.nodes.length === 1 ? known.nodes[0] : ''
  const dns = known.dns.filter((one) => one.untilMs >= nowMs)
  const untilMs = Math.min(fact?.untilMs ?? Infinity, ...dns.map((one) => one.untilMs))
  const rest = { dns, untilMs }
  if (own !== '' && fact?.kind !== 'pod' && fact?.kind !== 'service') {
    return {
      kind: 'node', workload: `node:${own}`, namespace: '', service_account: '',
      labels: fact?.labels ?? [], on_node: own, translated: false, sinceMs: 0, ...rest,
    }
  }
  if (fact === null) {
    return {
      kind: '', workload: '', namespace: '', service_account: '', labels: [], on_node: '',
      translated: false, sinceMs: 0, ...rest,
    }
  }
  const { untilMs: _, ...facts } = fact
  return { ...facts, ...rest }
}

/** Sorts what is worth least first. */
function byWorth(a: Entry, b: Entry, nowMs: number): number {
  return worth(a, nowMs) - worth(b, nowMs) || a.touchedMs - b.touchedMs || a.number - b.number
}

function worth({ facts, nodes, dns }: Entry, nowMs: number): number {
  if (nodes.length > 0 || [...facts.values()].some((one) => one.untilMs >= nowMs)) return 2
  return dns.some((one) => one.untilMs >= nowMs) ? 1 : 0
}

/** The bytes of an address that can be that of one end: neither loopback nor unspecified. */
function bytesOf(text: string): Uint8Array | null {
  try {
    const bytes = parseAddress(text)
    return isLoopback(bytes, 0) ? null : bytes
  } catch {
    return null
  }
}
