/** Stores that a policy may have forgotten: guesses, for a person to look at. */
import type { CompiledPolicy } from '../../compile.ts'
import { parseAddress } from '../../../proto/address.ts'
import type { StoreKind } from '../../../stores/rule.ts'
import { spanOf } from '../told.ts'
import { bytes, comment, count, some, word } from '../yaml-lines.ts'
import type { Server, StoreCensus } from './census.ts'
import { placeLines } from './told.ts'

/** Something that may be a store. */
export interface StoreCandidate {
  name: string
  kind: StoreKind
  /** What it is taken for, such as `PostgreSQL`. */
  guess: string
  /** Entry for the policy, two blanks deep. */
  lines: string[]
  evidence: string
}

/** Ports by which servers of data are known. They prove nothing. */
const PORTS: Record<number, [guess: string, kind: StoreKind]> = {
  3306: ['MySQL', 'database'], 3900: ['S3 (Garage)', 'objects'], 5432: ['PostgreSQL', 'database'],
  6333: ['Qdrant', 'database'], 6334: ['Qdrant', 'database'], 6379: ['Redis', 'database'],
  7480: ['S3 (Ceph)', 'objects'], 8123: ['ClickHouse', 'database'],
  8333: ['S3 (SeaweedFS)', 'objects'], 9000: ['S3 (MinIO)', 'objects'],
  9042: ['Cassandra', 'database'], 9200: ['OpenSearch', 'database'],
  19_530: ['Milvus', 'database'], 27_017: ['MongoDB', 'database'],
}
/** Object stores on the Internet, by their names. */
const OBJECT_NAMES = new RegExp('(^|[.-])s3[.-]|\\.storage\\.googleapis\\.com$|' +
  '^storage\\.googleapis\\.com$|\\.blob\\.core\\.windows\\.net$|\\.r2\\.cloudflarestorage\\.com$')
const NFS_PORT = 2049
const HTTP_PORTS = [80, 443]
/** Less is no store that is used as one. */
const BYTES_MIN = 64 * 2 ** 20
const CANDIDATES_MAX = 50

/**
 * Servers that sent much, at ports or under names of object stores and databases, and stores that
 * an earlier policy had and that agents still found.
 *
 * @param policy stores of it are left out
 * @param namesOf DNS names of an address
 */
export function storeCandidates(
  census: StoreCensus, policy: CompiledPolicy, namesOf: (address: string) => readonly string[],
): StoreCandidate[] {
  const taken = new Set(policy.stores.all.map(({ name }) => name))
  const former = [...census.stores, ...census.former.values()]
    .filter(({ name }) => !taken.has(name) && (census.sites.get(name)?.size ?? 0) > 0)
    .map((store): StoreCandidate => ({
      name: store.name, kind: store.kind, guess: 'a store of an earlier policy',
      lines: placeLines(store, new Set(policy.zones)),
      evidence: `An earlier policy of the log had it, and it was watched on ${
        siteWords(census, store.name)}.`,
    }))
  const servers = census.servers.flatMap((server) => {
    const names = namesOf(server.address)
    const known = policy.stores.storeOfConnection(
      parseAddress(server.address), 0, server.port, { dns_names: names })
    return known !== null || server.bytes < BYTES_MIN ? [] : guessOf(server, names)
  })
  return [...former, ...named(merged(servers), taken)].slice(0, CANDIDATES_MAX)
}

/** Where a store is watched, in words; '' when nowhere. */
export function siteWords({ sites }: StoreCensus, name: string): string {
  return some([...sites.get(name) ?? []].map(([node, what]) => `${node} at ${what}`).sort())
}

/** All of it as comments, and that nothing of it is known. */
export function candidateLines(candidates: readonly StoreCandidate[]): string[] {
  if (candidates.length === 0) return []
  return [
    ...comment(`Candidates for stores: ${count(candidates.length, 'guess', 'guesses')}, by port, ` +
      'name and bytes alone. Nothing of this is known: look at each, correct its name, kind and ' +
      'sensitivity, and take it over into stores.', ''),
    ...candidates.flatMap(({ guess, evidence, lines }) => [
      '#', ...comment(`Perhaps ${guess}: ${evidence}`, ''), ...lines.map((line) => `# ${line}`),
    ]),
  ]
}

interface Guess { guess: string, kind: StoreKind, place: string, key: string, server: Server }

function guessOf(server: Server, names: readonly string[]): Guess[] {
  const { address, port } = server
  const host = address.includes(':') ? `[${address}]` : address
  if (port === NFS_PORT) {
    return [{ guess: 'NFS', kind: 'dataset', key: 'mounts', place: `${address}:/**`, server }]
  }
  const ofPort = PORTS[port]
  const name = names.find((one) => OBJECT_NAMES.test(one))
  if (ofPort !== undefined) {
    const [guess, kind] = ofPort
    return [{ guess, kind, key: 'endpoints', place: `${name ?? host}:${port}`, server }]
  }
  if (name === undefined || !HTTP_PORTS.includes(port)) return []
  return [{ guess: 'an object store on the Internet', kind: 'objects', key: 'endpoints',
    place: `${name}:${port}`, server }]
}

/** Several addresses of one name are one. */
function merged(guesses: readonly Guess[]): Guess[] {
  return [...Map.groupBy(guesses, ({ place }) => place).values()].map((same) => ({
    ...same[0], server: {
      ...same[0].server,
      bytes: same.reduce((sum, { server }) => sum + server.bytes, 0),
      days: new Set(same.flatMap(({ server }) => [...server.days])),
      programs: new Set(same.flatMap(({ server }) => [...server.programs])),
      nodes: new Set(same.flatMap(({ server }) => [...server.nodes])),
      first_ms: Math.min(...same.map(({ server }) => server.first_ms)),
      last_ms: Math.max(...same.map(({ server }) => server.last_ms)),
    },
  }))
}

function named(guesses: readonly Guess[], taken: Set<string>): StoreCandidate[] {
  return guesses.map(({ guess, kind, place, key, server }) => {
    const stem = `${guess.toLowerCase().replace(/^.*\(|\)$/g, '').split(' ')[0]}`
      .replace(/^an$/, 'objects')
    let name = stem
    for (let i = 2; taken.has(name); i++) name = `${stem}-${i}`
    taken.add(name)
    return { name, kind, guess, evidence: evidenceOf(place, server), lines: [
      `  - name: ${name}`, `    kind: ${kind}`, '    sensitivity: confidential  # a guess',
      `    ${key}: [${word(place)}]`,
    ] }
  })
}

function evidenceOf(place: string, server: Server): string {
  const { bytes: received, days, programs, nodes } = server
  const by = [...programs].filter((one) => one !== '').sort()
  return `${bytes(received)} came from ${place.replace(/:\/\*\*$/, ':2049')} on ` +
    `${count(days.size, 'day', 'days')}, ${spanOf(server)}, to ` +
    `${by.length === 0 ? 'the kernel' : some(by)} on ${some([...nodes].sort())}.`
}
