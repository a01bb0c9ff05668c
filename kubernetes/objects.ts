// What is kept of pods, services and nodes: names, labels, addresses. Pure; every amount bounded,
// every field checked, since an object is whatever someone could write into the API.

/** A pod, as far as names go. */
export interface PodFacts {
  uid: string
  namespace: string
  name: string
  service_account: string
  /** `key=value`, sorted. */
  labels: string[]
  /** What made it, such as `Deployment/llm`. */
  owner: string
  node: string
  /** Its own addresses; none while it has none, or uses those of its node. */
  addresses: string[]
  /** It has ended, or is about to be forgotten. */
  ended: boolean
}

/** A Service with addresses of its own. */
export interface ServiceFacts {
  namespace: string
  name: string
  /** What it selects pods by, `key=value`, sorted; its own labels when it selects none. */
  labels: string[]
  addresses: string[]
  ports: number[]
}

/** A node of the cluster. */
export interface NodeFacts {
  name: string
  labels: string[]
  addresses: string[]
}

const labelsMax = 32
const addressesMax = 16
const portsMax = 64
/** Kubernetes allows 253 for names, and 63 + 1 + 253 for keys of labels. */
const charsMax = 384

type Fields = Record<string, unknown>

/** What is kept of a v1 Pod, keyed by UID; null when it is none. */
export function keepPod(object: unknown): { key: string, value: PodFacts } | null {
  const { metadata, spec, status } = fieldsOf(object, 'metadata', 'spec', 'status')
  // A static pod has another UID in the API than in the paths of its cgroups.
  const mirrored = textOf(fieldsOf(metadata, 'annotations').annotations,
    'kubernetes.io/config.mirror')
  const uid = mirrored || textOf(metadata, 'uid')
  if (uid === '') return null
  const phase = textOf(status, 'phase')
  const labels = labelsOf(metadata.labels)
  const ips = listOf(status.podIPs).map((one) => textOf(one, 'ip'))
  const addresses = (ips.length > 0 ? ips : [textOf(status, 'podIP')]).filter((ip) => ip !== '')
  return {
    key: uid,
    value: {
      uid, labels,
      namespace: textOf(metadata, 'namespace'),
      name: textOf(metadata, 'name'),
      service_account: textOf(spec, 'serviceAccountName'),
      owner: ownerOf(metadata, labels),
      node: textOf(spec, 'nodeName'),
      addresses: spec.hostNetwork === true ? [] : addresses.slice(0, addressesMax),
      ended: phase === 'Succeeded' || phase === 'Failed',
    },
  }
}

/** What is kept of a v1 Service; null for one without an address of its own. */
export function keepService(object: unknown): { key: string, value: ServiceFacts } | null {
  const { metadata, spec } = fieldsOf(object, 'metadata', 'spec')
  const [namespace, name] = [textOf(metadata, 'namespace'), textOf(metadata, 'name')]
  const given = Array.isArray(spec.clusterIPs) ? spec.clusterIPs : [spec.clusterIP]
  const addresses = given.filter((ip): ip is string =>
    typeof ip === 'string' && ip !== '' && ip !== 'None').slice(0, addressesMax)
  if (name === '' || addresses.length === 0) return null
  const ports = listOf(spec.ports).map(({ port }) => port)
    .filter((port): port is number => Number.isInteger(port))
  const selected = labelsOf(spec.selector)
  return {
    key: `${namespace}/${name}`,
    value: {
      namespace, name, addresses, ports: ports.slice(0, portsMax),
      labels: selected.length > 0 ? selected : labelsOf(metadata.labels),
    },
  }
}

/** What is kept of a v1 Node. */
export function keepNode(object: unknown): { key: string, value: NodeFacts } | null {
  const { metadata, status } = fieldsOf(object, 'metadata', 'status')
  const name = textOf(metadata, 'name')
  if (name === '') return null
  const addresses = listOf(status.addresses)
    .filter((one) => /^(Internal|External)IP$/.test(textOf(one, 'type')))
    .map((one) => textOf(one, 'address')).filter((address) => address !== '')
  return {
    key: name,
    value: { name, labels: labelsOf(metadata.labels), addresses: addresses.slice(0, addressesMax) },
  }
}

/** The Deployment behind a ReplicaSet, whose name it gave with a hash at the end. */
function ownerOf(metadata: Fields, labels: readonly string[]): string {
  const owner = listOf(metadata.ownerReferences).find((one) => one.controller === true)
  if (owner === undefined) return ''
  const [kind, name] = [textOf(owner, 'kind'), textOf(owner, 'name')]
  const hash = labels.find((one) => one.startsWith('pod-template-hash='))?.slice(18)
  if (kind === 'ReplicaSet' && hash !== undefined && name.endsWith(`-${hash}`)) {
    return `Deployment/${name.slice(0, -hash.length - 1)}`
  }
  return kind === '' || name === '' ? '' : `${kind}/${name}`
}

function labelsOf(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).filter(([, text]) => typeof text === 'string')
    .map(([key, text]) => `${key}=${text}`.slice(0, charsMax)).sort().slice(0, labelsMax)
}

function fieldsOf<K extends string>(object: unknown, ...names: K[]): Record<K, Fields> {
  const found = names.map((name) => {
    const value = (object as Fields | null | undefined)?.[name]
    return [name, typeof value === 'object' && value !== null ? value : {}]
  })
  return Object.fromEntries(found) as Record<K, Fields>
}

function textOf(object: Fields, name: string): string {
  const value = object[name]
  return typeof value === 'string' ? value.slice(0, charsMax) : ''
}

function listOf(value: unknown): Fields[] {
  return Array.isArray(value)
    ? value.filter((one): one is Fields => typeof one === 'object' && one !== null) : []
}
