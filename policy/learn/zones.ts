/** Zones proposed from who was seen to talk. */
import type { Census, Member, Remote } from './census.ts'
import { COMMAND_PORTS } from './port-list.ts'
import { isPrivate, tightCidrs } from './prefixes.ts'
import { keyOfTrait, traitsOf } from './traits.ts'
import type { Trait } from './traits.ts'
import { RESERVED_NAMES } from '../zone-names.ts'

/** A zone as it will stand in the file. */
export interface ProposedZone {
  name: string
  exposure: 'public' | 'internal' | 'protected'
  /** Patterns by key of `match`. */
  match: Partial<Record<Trait['matcher'], string[]>>
  /** Who it holds and why these, one sentence each. */
  evidence: string[]
  /** Nobody in it is watched: known by its addresses alone. */
  unwatched: boolean
}

export interface ZoneOptions {
  /** True for who is in a zone of the policy that is there already. */
  isZoned?: (member: Member) => boolean
  isZonedAddress?: (address: string) => boolean
  /** Names that are taken. */
  taken?: readonly string[]
}

/** Names of services that are asked for at these ports, for the names of zones. */
const SERVICE_NAMES: Record<string, string> = {
  '22/tcp': 'ssh', '53/udp': 'dns', '53/tcp': 'dns', '80/tcp': 'http', '123/udp': 'ntp',
  '389/tcp': 'ldap', '443/tcp': 'https', '636/tcp': 'ldap', '988/tcp': 'lustre',
  '1433/tcp': 'sqlserver', '2049/tcp': 'nfs', '3306/tcp': 'mysql', '5432/tcp': 'postgres',
  '6379/tcp': 'redis', '6443/tcp': 'kube-api', '9092/tcp': 'kafka', '514/udp': 'syslog',
}
const NAMES_TOLD = 6
/** Kinds of clients that get zones of their own; the others share one. */
const CLIENT_ZONES_MAX = 8
/** Nodes whose own part of the cgroup tree is listed. */
const TREES_MAX = 8
const ZONES_MAX = 200

/**
 * Proposes zones, in the order of their names; `refused` counts those beyond what a policy holds.
 * All have the exposure `internal`, until it is known who talks with whom.
 */
export function proposeZones(
  census: Census, options: ZoneOptions = {},
): { zones: ProposedZone[], refused: number } {
  const names = new Set([...RESERVED_NAMES, ...options.taken ?? []])
  const members = census.members.filter((member) => !options.isZoned?.(member))
  const groups = groupsOf(members)
  const watched = [...groups.values()].map((group) => watchedZone(group, groups, census, options))
  const zones = [...watched, ...unwatchedZones(census, options)]
    .filter(({ match }) => Object.values(match).some((patterns) => patterns.length > 0))
    .sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
  for (const zone of zones) zone.name = freeName(zone.name, names)
  return { zones: zones.slice(0, ZONES_MAX), refused: Math.max(0, zones.length - ZONES_MAX) }
}

interface Group { trait: Trait, members: Member[], addresses: Set<string> }

function groupsOf(members: readonly Member[]): Map<string, Group> {
  const groups = new Map<string, Group>()
  const traits = traitsOf(members)
  members.forEach((member, i) => {
    const key = keyOfTrait(traits[i])
    let group = groups.get(key)
    if (group === undefined) {
      groups.set(key, group = { trait: traits[i], members: [], addresses: new Set() })
    }
    group.members.push(member)
    for (const address of member.addresses) group.addresses.add(address)
  })
  return groups
}

function watchedZone(
  group: Group, groups: ReadonlyMap<string, Group>, census: Census, options: ZoneOptions,
): ProposedZone {
  const { trait, members } = group
  const match: ProposedZone['match'] = {}
  if (trait.pattern !== '') match[trait.matcher] = [trait.pattern]
  if (trait.matcher === 'cidrs') {
    const trees = ownTrees(group, groups)
    if (trees.length > 0) match.cgroup_paths = trees
  }
  const cidrs = tightCidrs(ownAddresses(group, groups, census, options),
    foreignTo(group.addresses, census))
  if (cidrs.length > 0) match.cidrs = cidrs
  const nodes = [...new Set(members.map(({ node_id }) => node_id))].sort()
  const workloads = [...new Set(members.map(({ workload, exe }) => workload || exe))]
    .filter((one) => one !== '').sort()
  return {
    name: zoneName(trait.name), exposure: 'internal', match, unwatched: false,
    evidence: [
      `${capital(trait.why)}: ${told(workloads, 'workload')}, on ${told(nodes, 'node')}.`,
    ],
  }
}

/** Addresses that stand for this group alone. A node's address belongs to what runs on the node. */
function ownAddresses(
  group: Group, groups: ReadonlyMap<string, Group>, census: Census, options: ZoneOptions,
): string[] {
  const others = [...groups.values()].filter((one) => one !== group)
  const isHost = ({ trait }: Group): boolean =>
    trait.matcher === 'node_groups' || trait.matcher === 'cidrs'
  return [...group.addresses].filter((address) => {
    if (census.named.has(address) || options.isZonedAddress?.(address)) return false
    const sharing = others.filter(({ addresses }) => addresses.has(address))
    return sharing.length === 0 || (isHost(group) && !sharing.some(isHost))
  })
}

/** The part of the cgroup tree of each node, where it is the node's own: nodes in one kernel. */
function ownTrees(group: Group, groups: ReadonlyMap<string, Group>): string[] {
  const nodes = [...new Set(group.members.map(({ node_id }) => node_id))]
  if (nodes.length > TREES_MAX) return []
  const foreign = [...groups.values()].filter((one) => one !== group)
    .flatMap(({ members }) => members.map(({ cgroup_path }) => cgroup_path))
  const trees = nodes.map((node) => {
    const paths = group.members.filter(({ node_id }) => node_id === node)
      .map(({ cgroup_path }) => cgroup_path)
    return sharedPath(paths)
  })
  const foreignTo = (tree: string): boolean => tree === '' || !/^[^*?[\]{}]*$/.test(tree) ||
    foreign.some((path) => path === tree || path.startsWith(`${tree}/`) || path === '')
  if (trees.some(foreignTo) || foreign.length === 0) return []
  return [...new Set(trees)].sort().flatMap((tree) => [tree, `${tree}/**`])
}

/** The longest path that all are at or below; '' for the root. */
function sharedPath(paths: readonly string[]): string {
  const [first, ...rest] = paths.map((path) => path.split('/'))
  let length = first.length
  for (const path of rest) {
    let same = 0
    while (same < length && path[same] === first[same]) same++
    length = same
  }
  return first.slice(0, length).join('/')
}

/** Private addresses that nobody watched: servers by what they serve, clients by what they ask. */
function unwatchedZones(census: Census, options: ZoneOptions): ProposedZone[] {
  const servers = new Map<string, string[]>()
  const clients = new Map<string, string[]>()
  for (const [address, remote] of census.remotes) {
    if (census.own.has(address) || census.named.has(address) || !isPrivate(address)) continue
    if (options.isZonedAddress?.(address)) continue
    const role = remote.serves.size > 0 ? servers : clients
    const key = roleName(remote)
    role.set(key, [...role.get(key) ?? [], address])
  }
  const few = clients.size <= CLIENT_ZONES_MAX ? clients : twoKinds(clients)
  return [
    ...[...servers].map(([key, addresses]) => unwatchedZone(key, addresses, 'serve', census)),
    ...[...few].map(([key, addresses]) => unwatchedZone(key, addresses, 'ask for', census)),
  ]
}

/** Clients of too many kinds: those who command machines stay apart from the others. */
function twoKinds(clients: ReadonlyMap<string, string[]>): Map<string, string[]> {
  const commands = ([key]: [string, string[]]): boolean =>
    key.split(' ').some((one) => COMMAND_PORTS.includes(parseInt(one, 10)))
  const all = [...clients]
  const addresses = (list: [string, string[]][]): string[] => list.flatMap(([, some]) => some)
  return new Map([
    ['22/tcp', addresses(all.filter(commands))],
    ['', addresses(all.filter((one) => !commands(one)))],
  ].filter(([, some]) => some.length > 0) as [string, string[]][])
}

function unwatchedZone(
  key: string, addresses: string[], verb: 'serve' | 'ask for', census: Census,
): ProposedZone {
  const services = key === '' ? 'several services' : key.replaceAll(' ', ', ')
  const [first, ...more] = key.split(' ').map((one) => SERVICE_NAMES[one] ?? one.split('/')[0])
  const stem = key === '' ? 'some' : more.some((one) => one !== first) ? `${first}-and-more` : first
  return {
    name: zoneName(`${verb === 'serve' ? 'servers' : 'clients'}-${stem}`),
    exposure: 'internal', unwatched: true,
    match: { cidrs: tightCidrs(addresses, foreignTo(new Set(addresses), census)) },
    evidence: [`${addresses.length === 1 ? 'A private address that is'
      : `${addresses.length} private addresses that are`} not watched and ${
      addresses.length === 1 ? verb.replace('serve', 'serves').replace('ask', 'asks') : verb} ` +
      `${services}.`],
  }
}

/** The services of an address as one text; a server with very many is known by its first ones. */
function roleName({ serves, asks }: Remote): string {
  const order = (a: string, b: string): number => parseInt(a, 10) - parseInt(b, 10) ||
    (a < b ? -1 : 1)
  const services = [...serves.size > 0 ? serves : asks].sort(order)
  const known = services.filter((one) => parseInt(one, 10) < 32_768)
  return (known.length > 0 ? known : services).slice(0, NAMES_TOLD).join(' ')
}

function foreignTo(own: ReadonlySet<string>, census: Census): string[] {
  return [...census.own, ...census.named, ...census.remotes.keys()]
    .filter((address) => !own.has(address))
}

function zoneName(text: string): string {
  const plain = text.toLowerCase().replaceAll(/[^a-z0-9_-]+/g, '-').replaceAll(/^[^a-z]+|-+$/g, '')
  return plain.slice(0, 56) || 'zone'
}

function freeName(name: string, names: Set<string>): string {
  let free = name
  for (let i = 2; names.has(free); i++) free = `${name}-${i}`
  names.add(free)
  return free
}

function told(names: readonly string[], noun: string): string {
  const shown = names.slice(0, NAMES_TOLD).join(', ')
  if (names.length === 0) return `no ${noun} known`
  return names.length <= NAMES_TOLD ? shown : `${shown} and ${names.length - NAMES_TOLD} more`
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
