/** What is wrong with stores that only their meaning shows. */
import { ManifestError } from '../../stores/manifest/error.ts'
import { readTrust } from '../../stores/manifest/trust.ts'
import { isOfArtifacts } from '../../stores/rule.ts'
import { formatCidr } from '../match/cidr.ts'
import { parseEndpoint } from '../match/endpoint.ts'
import type { Pattern, Position, Problem, StorePolicy } from '../policy.ts'
import type { Report } from './cursor.ts'

/** Paths, mounts or endpoints of all stores together: each is compared with every other one. */
const PLACES_MAX = 1024
/** Types of which every system has mounts that hold no data: the kernel makes what they show. */
const PSEUDO = new Set(['proc', 'sysfs', 'devtmpfs', 'devpts', 'cgroup', 'cgroup2', 'bpf',
  'tracefs', 'debugfs', 'securityfs', 'pstore', 'mqueue', 'configfs', 'fusectl', 'nsfs', 'autofs',
  'binfmt_misc', 'efivarfs', 'rpc_pipefs', 'hugetlbfs', 'sockfs', 'pipefs', 'selinuxfs'])
/** Types that the system itself runs from. */
const OF_SYSTEM = new Set(['ext2', 'ext3', 'ext4', 'xfs', 'btrfs', 'zfs', 'overlay', 'tmpfs',
  'squashfs', 'vfat', 'erofs', 'iso9660', 'fuse', 'ramfs'])
/** Folders that every process reads from. */
const TOO_WIDE = new Set(['/', '/usr', '/lib', '/lib64', '/bin', '/sbin', '/etc', '/proc', '/sys',
  '/dev', '/run', '/var', '/var/lib'])

/** Stores of a policy, and where they are in the document. */
type Said = { store: StorePolicy, path: string }

/** Reports all of it. `stores` are in the order of the file. */
export function checkStores(stores: readonly StorePolicy[], report: Report): void {
  const said = stores.map((store, index): Said => ({ store, path: `stores[${index}]` }))
  for (const one of said) {
    checkPlaces(one, report)
    checkPaths(one, report)
    checkFileSystems(one, report)
    checkEndpoints(one, report)
    checkManifest(one, report)
    checkManifestKeys(one, report)
    checkUse(one, report)
  }
  if (!isBounded(stores, report)) return
  checkOverlaps(said, report)
  for (const key of ['mounts', 'fileSystems', 'endpoints'] as const) checkEqual(said, key, report)
}

function isBounded(stores: readonly StorePolicy[], report: Report): boolean {
  return (['paths', 'mounts', 'endpoints'] as const).every((key) => {
    const past = stores.flatMap((store) => store[key])[PLACES_MAX]
    if (past === undefined) return true
    report(problem(past, 'error', 'stores', `the stores hold more than ${PLACES_MAX} ${key}`,
      'write one that holds several, such as a parent folder or a range'))
    return false
  })
}

function problem(
  at: Position, severity: Problem['severity'], path: string, message: string, fix: string,
): Problem {
  return { severity, line: at.line, column: at.column, path, message, fix }
}

function isOfFiles({ paths, mounts, fileSystems }: StorePolicy): boolean {
  return paths.length + mounts.length + fileSystems.length > 0
}

function checkPlaces({ store, path }: Said, report: Report): void {
  if (isOfFiles(store) || store.endpoints.length > 0) return
  report(problem(store, 'error', path, `nothing says where ${store.name || 'this store'} is`,
    'write paths:, mounts:, file_systems: or endpoints:'))
}

function checkPaths({ store, path }: Said, report: Report): void {
  for (const [index, one] of store.paths.entries()) {
    const { text } = one
    const fault = faultOfPath(text)
    if (fault === null) continue
    report(problem(one, 'error', `${path}.paths[${index}]`, `${JSON.stringify(text)} ${fault[0]}`,
      fault[1]))
  }
  for (const [index, one] of store.mounts.entries()) {
    if (!/^[*/]+$/.test(one.text)) continue
    report(problem(one, 'error', `${path}.mounts[${index}]`, 'this is every mount there is',
      'write what is mounted, such as filer:/export/imagenet'))
  }
}

function faultOfPath(text: string): [what: string, fix: string] | null {
  if (!text.startsWith('/')) {
    const source = /^[^/:]+:\//.test(text)
    return ['is not an absolute path', source ? 'write it under mounts: it is what is mounted'
      : `write it from the root, such as /${text.replace(/^[.~]*\/*/, '')}`]
  }
  const plain = text.replaceAll(/\/+/g, '/').replace(/(.)\/$/, '$1')
  if (plain.split('/').some((level) => level === '.' || level === '..')) {
    return ['has a level . or ..', 'write the path as it is']
  }
  if (text.includes('**')) return ['crosses levels', 'write one * for each level']
  if (/[?[\]{}]/.test(text)) return ['has a wildcard that is none', 'only * is a wildcard']
  if (plain !== text && `${plain}/` !== text) return ['has an empty level', `write ${plain}`]
  if (TOO_WIDE.has(plain) || /^(\/\*)+$/.test(plain)) {
    return ['holds what every process reads', 'write the folder of the data alone']
  }
  return null
}

function checkFileSystems({ store, path }: Said, report: Report): void {
  for (const [index, one] of store.fileSystems.entries()) {
    const at = `${path}.file_systems[${index}]`
    if (PSEUDO.has(one.text)) {
      report(problem(one, 'error', at, `a file system of the type ${one.text} holds no data`,
        'write the type of the storage, such as wekafs or lustre'))
    } else if (OF_SYSTEM.has(one.text)) {
      report(problem(one, 'warning', at,
        `every mount of the type ${one.text}, those of the system too, would be this store`,
        'write paths: or mounts: instead'))
    }
  }
}

function checkEndpoints({ store, path }: Said, report: Report): void {
  for (const [index, one] of store.endpoints.entries()) {
    const endpoint = parseEndpoint(one.text)
    const at = `${path}.endpoints[${index}]`
    if ('message' in endpoint) report(problem(one, 'error', at, endpoint.message, endpoint.fix))
  }
}

function checkManifest({ store, path }: Said, report: Report): void {
  const { manifest, manifestKeys, kind } = store
  const [key] = manifestKeys
  if (manifest === null) {
    if (key !== undefined) {
      report(problem(key, 'error', `${path}.manifest_keys`, 'there is no manifest to be signed',
        'write manifest: and the path of the signed file'))
    }
    return
  }
  const at = `${path}.manifest`
  if (!manifest.text.startsWith('/')) {
    report(problem(manifest, 'error', at,
      `${JSON.stringify(manifest.text)} is not an absolute path`,
      'write it from the root, such as /models/llm/model.sig'))
  }
  if (!isOfArtifacts({ kind })) {
    report(problem(manifest, 'error', at, `of a store of the kind ${kind} no manifest is asked`,
      'remove it, or write kind: weights, checkpoints or registry'))
  } else if (!isOfFiles(store)) {
    report(problem(manifest, 'error', at, 'this store has no files that could be compared',
      'write paths:, mounts: or file_systems:'))
  } else if (key === undefined) {
    report(problem(manifest, 'warning', at, 'whoever changes the files can write another manifest',
      'write manifest_keys: and the public key, or the certificate, of who signs it'))
  }
}

/** A key that cannot be used would make every manifest look like a forged one. */
function checkManifestKeys({ store, path }: Said, report: Report): void {
  for (const [index, one] of store.manifestKeys.entries()) {
    try {
      readTrust([one.text])
    } catch (error) {
      if (!(error instanceof ManifestError)) throw error
      const [what] = error.message.split('. ')
      const fix = one.text.includes('PRIVATE KEY')
        ? 'take it out, make a new one, and write its public key (openssl pkey -pubout)'
        : 'write the public key (openssl pkey -pubout) or the certificate of who signs, or of ' +
          'their authority, in PEM: Ed25519, or ECDSA with P-256, P-384 or P-521'
      report(problem(one, 'error', `${path}.manifest_keys[${index}]`,
        what.replace(/^Key 1 /, 'this '), fix))
    }
  }
}

/** What is said and never asked. */
function checkUse({ store, path }: Said, report: Report): void {
  if (isOfFiles(store) || store.endpoints.length === 0) return
  const warn = (at: Position, key: string, message: string, fix: string): void =>
    report(problem(at, 'warning', `${path}.${key}`, message, fix))
  if (store.writers !== null) {
    warn(store.writers, 'writers', 'over the network nobody sees what is changed',
      'remove it, or write paths: on the node that holds the files')
  }
  if (store.expected.files !== null) {
    warn(store, 'expected.files', 'over the network nobody sees which files are read', 'remove it')
  }
}

/** The same in two stores: nothing could say which one it is. */
function checkEqual(
  said: readonly Said[], key: 'mounts' | 'fileSystems' | 'endpoints', report: Report,
): void {
  const owners = new Map<string, { name: string, line: number }>()
  const word = key === 'fileSystems' ? 'file_systems' : key
  for (const { store, path } of said) {
    for (const [index, one] of store[key].entries()) {
      const text = key === 'endpoints' ? plainEndpoint(one.text) : one.text
      const owner = owners.get(text)
      if (owner === undefined) owners.set(text, { name: store.name, line: one.line })
      else reportTwice(one, `${path}.${word}[${index}]`, one.text, store, owner, report)
    }
  }
}

function reportTwice(
  at: Pattern, path: string, what: string, store: StorePolicy,
  owner: { name: string, line: number }, report: Report,
): void {
  const own = owner.name === store.name
  report(problem(at, own ? 'warning' : 'error', path,
    `${what} is in ${own ? 'this store' : `the store ${owner.name}`} already, `
      + `on line ${owner.line}`,
    own ? 'remove one of the two' : 'keep it in one store'))
}

function plainEndpoint(text: string): string {
  const endpoint = parseEndpoint(text)
  if ('message' in endpoint) return text
  const { cidr, name, workload, port } = endpoint
  return `${cidr === null ? name?.text ?? workload!.text : formatCidr(cidr)} ${port}`
}

/** Two patterns of one depth that may stand for one folder. Deeper ones are the innermost. */
function checkOverlaps(said: readonly Said[], report: Report): void {
  const byDepth = new Map<number, { levels: string[], name: string, line: number }[]>()
  for (const { store, path } of said) {
    for (const [index, one] of store.paths.entries()) {
      const levels = one.text.split('/')
      const others = byDepth.get(levels.length) ?? []
      byDepth.set(levels.length, others)
      const other = others.find((each) => each.levels.every((level, i) => meet(level, levels[i])))
      if (other === undefined) {
        others.push({ levels, name: store.name, line: one.line })
        continue
      }
      const at = `${path}.paths[${index}]`
      const same = other.levels.join('/') === one.text
      if (same || other.name === store.name) reportTwice(one, at, one.text, store, other, report)
      else {
        report(problem(one, 'error', at, `${one.text} and ${other.levels.join('/')} of the store ` +
          `${other.name}, on line ${other.line}, may stand for the same folder`,
        'make one of the two more narrow'))
      }
    }
  }
}

/** Whether two patterns of one level, where * stands for anything, have a text in common. */
function meet(a: string, b: string): boolean {
  if (!a.includes('*') && !b.includes('*')) return a === b
  // reached[j]: the part of a so far and the first j characters of b can be the same text.
  let reached = Array.from({ length: b.length + 1 }, (_, j) => /^\**$/.test(b.slice(0, j)))
  for (const char of a) {
    const next: boolean[] = []
    for (let j = 0; j <= b.length; j++) {
      next[j] = char === '*' ? reached[j] || (j > 0 && next[j - 1])
        : (j > 0 && b[j - 1] === '*' && (reached[j] || next[j - 1])) ||
          (j > 0 && b[j - 1] === char && reached[j - 1])
    }
    reached = next
  }
  return reached[b.length]
}
