/**
 * Whom addresses of the cluster stand for, from the Kubernetes API: services, pods, nodes. Written
 * into the event log as `address_seen`, so that a replay knows what was known then.
 */
import type { Access } from '../../kubernetes/access.ts'
import {
  AddressBook, addressesOfNode, addressesOfPod, addressesOfService, placeOf,
} from '../../kubernetes/addresses.ts'
import type { SeenAddress } from '../../kubernetes/addresses.ts'
import { keepNode, keepPod, keepService } from '../../kubernetes/objects.ts'
import { Client } from '../../kubernetes/request.ts'
import { Watch } from '../../kubernetes/watch.ts'

export interface ClusterNamesOptions {
  access: Access
  /** Takes what is new. Throws when it cannot be stored: then it is offered again. */
  write(addresses: SeenAddress[]): void
  /** Whether all that was written is known: only then can `isKnown` be asked. */
  caughtUp(): boolean
  /** Whether the log says this already, from whomever. */
  isKnown(address: SeenAddress): boolean
  report(line: string): void
  /** How long changes are collected, ms. */
  collectMs?: number
}

const objectsMax = { pods: 50_000, services: 10_000, nodes: 10_000 }
/** Addresses in one batch of the log. */
const batchMax = 1000
/** Changes that wait while the log cannot be written; what does not fit is counted. */
const waitingMax = 200_000

/** What became of the names, in objects and changes. */
export interface NameCounts {
  known: number
  /** Times that an object did not fit. */
  left: number
  /** Lines of the API that could not be read; everything was listed again. */
  malformed: number
  /** Changes that were left out: too many waited. */
  unwritten: number
  waiting: number
}

/** Runs from `start` to `stop`. */
export class ClusterNames {
  readonly #options: ClusterNamesOptions
  readonly #client: Client
  readonly #watches: Pick<Watch<unknown>, 'start' | 'stop' | 'left' | 'malformed' | 'size'>[]
  readonly #book = new AddressBook()
  readonly #waiting = new Map<string, SeenAddress>()
  #unwritten = 0
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

  /** Objects that are known, what did not fit, and what could not be read. */
  get counts(): NameCounts {
    const sum = (of: 'size' | 'left' | 'malformed'): number =>
      this.#watches.reduce((all, watch) => all + watch[of], 0)
    return {
      known: sum('size'), left: sum('left'), malformed: sum('malformed'),
      unwritten: this.#unwritten, waiting: this.#waiting.size,
    }
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
    addresses: (value: T) => SeenAddress[], entriesMax: number,
  ): Watch<T> {
    const { report } = this.#options
    return new Watch<T>({
      client: this.#client, path, keep, entriesMax,
      changed: (key, value) => this.#changed(`${path} ${key}`, value ? addresses(value) : []),
      complain: (error) => report(error.message),
      recovered: () => report(`the Kubernetes API answers again (${path})`),
    })
  }

  #changed(object: string, addresses: SeenAddress[]): void {
    for (const address of this.#book.changed(object, addresses)) this.#collect(address)
  }

  // The last word about an address counts.
  #collect(address: SeenAddress): void {
    const place = placeOf(address)
    if (!this.#waiting.has(place) && this.#waiting.size >= waitingMax) {
      this.#unwritten++
      return
    }
    this.#waiting.delete(place)
    this.#waiting.set(place, address)
    this.#flushSoon()
  }

  #flushSoon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      // Nobody can use a name before what was written earlier has been read.
      if (this.#options.caughtUp()) this.#flush()
      else this.#flushSoon()
    }, this.#options.collectMs ?? 1000)
  }

  #flush(): void {
    const { write, caughtUp, isKnown } = this.#options
    if (caughtUp()) {
      for (const [place, address] of this.#waiting) {
        if (isKnown(address)) this.#waiting.delete(place)
      }
    }
    while (this.#waiting.size > 0) {
      const batch = [...this.#waiting].slice(0, batchMax)
      try {
        write(batch.map(([, address]) => address))
      } catch {
        // The log has told what is wrong with it.
        this.#flushSoon()
        return
      }
      for (const [place] of batch) this.#waiting.delete(place)
    }
  }
}
