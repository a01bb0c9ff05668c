/**
 * Whom addresses of the cluster stand for, from the Kubernetes API: services, pods, nodes. Written
 * into the event log as `address_seen`, so that a replay knows what was known then.
 */
import { isIP } from 'node:net'
import type { Access } from '../../kubernetes/access.ts'
import { keepNode, keepPod, keepService } from '../../kubernetes/objects.ts'
import type { NodeFacts, PodFacts, ServiceFacts } from '../../kubernetes/objects.ts'
import { Client } from '../../kubernetes/request.ts'
import { Watch } from '../../kubernetes/watch.ts'
import type { AddressSeen } from '../../proto/gen/events.ts'

type Address = Partial<AddressSeen> & { seen_addr: string, port: number }

export interface ClusterNamesOptions {
  access: Access
  /** Takes what is new. Throws when it cannot be stored: then it is offered again. */
  write(addresses: Address[]): void
  report(line: string): void
  /** How long changes are collected, ms. */
  collectMs?: number
}

const objectsMax = { pods: 50_000, services: 10_000, nodes: 10_000 }
/** Addresses in one batch of the log. */
const batchMax = 1000
/** Changes that wait while the log cannot be written; what does not fit is counted. */
const waitingMax = 200_000

/** Runs from `start` to `stop`. */
export class ClusterNames {
  /** Changes that were left out: too many waited. */
  left = 0
  readonly #options: ClusterNamesOptions
  readonly #client: Client
  readonly #watches: { start(): void, stop(): Promise<void>, left: number, size: number }[]
  /** What was told of each object, to take it back. */
  readonly #told = new Map<string, Address[]>()
  readonly #waiting = new Map<string, Address>()
  #timer: NodeJS.Timeout | undefined

  constructor(options: ClusterNamesOptions) {
    this.#options = options
    this.#client = new Client(options.access)
    this.#watches = [
      this.#watch('/api/v1/services', keepService, addressesOfService, objectsMax.services),
      this.#watch('/api/v1/pods', keepPod, addressesOfPod, objectsMax.pods),
      this.#watch('/api/v1/nodes', keepNode, addressesOfNode, objectsMax.nodes),
    ]
  }

  /** Objects that are known, and those that did not fit. */
  get counts(): { known: number, left: number } {
    const sum = (of: 'size' | 'left'): number =>
      this.#watches.reduce((all, watch) => all + watch[of], 0)
    return { known: sum('size'), left: sum('left') + this.left }
  }

  start(): void {
    for (const watch of this.#watches) watch.start()
  }

  /** Writes what waits. */
  async stop(): Promise<void> {
    await Promise.all(this.#watches.map((watch) => watch.stop()))
    this.#client.close()
    clearTimeout(this.#timer)
    this.#flush()
    clearTimeout(this.#timer)
  }

  #watch<T>(
    path: string, keep: (object: unknown) => { key: string, value: T } | null,
    addresses: (value: T) => Address[], entriesMax: number,
  ): Watch<T> {
    const { report } = this.#options
    return new Watch<T>({
      client: this.#client, path, keep, entriesMax,
      changed: (key, value) => this.#changed(`${path} ${key}`, value ? addresses(value) : []),
      complain: (error) => report(error.message),
      recovered: () => report(`the Kubernetes API answers again (${path})`),
    })
  }

  #changed(object: string, addresses: Address[]): void {
    const now = addresses.filter(({ seen_addr }) => isIP(seen_addr) !== 0)
    const places = new Set(now.map(placeOf))
    for (const before of this.#told.get(object) ?? []) {
      if (!places.has(placeOf(before))) this.#collect({ ...before, gone: true })
    }
    for (const address of now) this.#collect(address)
    if (now.length > 0) this.#told.set(object, now)
    else this.#told.delete(object)
  }

  // The last word about an address counts.
  #collect(address: Address): void {
    const place = placeOf(address)
    if (!this.#waiting.has(place) && this.#waiting.size >= waitingMax) {
      this.left++
      return
    }
    this.#waiting.delete(place)
    this.#waiting.set(place, address)
    this.#timer ??= setTimeout(() => this.#flush(), this.#options.collectMs ?? 1000)
  }

  #flush(): void {
    this.#timer = undefined
    const { write, collectMs = 1000 } = this.#options
    while (this.#waiting.size > 0) {
      const batch = [...this.#waiting].slice(0, batchMax)
      try {
        write(batch.map(([, address]) => address))
      } catch {
        // The log has told what is wrong with it.
        this.#timer = setTimeout(() => this.#flush(), collectMs)
        return
      }
      for (const [place] of batch) this.#waiting.delete(place)
    }
  }
}

function placeOf({ seen_addr, port }: Address): string {
  return `${seen_addr} ${port}`
}

function addressesOfService(service: ServiceFacts): Address[] {
  const { namespace, name, labels, addresses, ports } = service
  const workload = `service:${namespace}/${name}`
  // A Service without ports translates nothing, and none is known by port 0.
  return addresses.flatMap((seen_addr) => ports.map((port) => ({
    seen_addr, port, address_kind: 'service', workload, namespace, labels, translated: true,
  })))
}

function addressesOfPod(pod: PodFacts): Address[] {
  const { namespace, name, service_account, labels, node } = pod
  if (pod.ended) return []
  return pod.addresses.map((seen_addr) => ({
    seen_addr, port: 0, address_kind: 'pod', workload: `pod:${namespace}/${name}`, namespace,
    service_account, labels, on_node: node,
  }))
}

function addressesOfNode({ name, labels, addresses }: NodeFacts): Address[] {
  return addresses.map((seen_addr) => ({
    seen_addr, port: 0, address_kind: 'node', workload: `node:${name}`, labels, on_node: name,
  }))
}
