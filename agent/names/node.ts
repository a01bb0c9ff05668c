// What this node is: its group, labels, addresses and partitions. Told at start and on change.

import { networkInterfaces } from 'node:os'
import type { NodeSeen } from '../../proto/gen/events.ts'

export interface NodeNamesOptions {
  seen(node: Partial<NodeSeen>): void
  /** By configuration; '' when none is set. */
  group: string
  partitions(): Promise<string[]>
  /** Default: those of this machine. */
  interfaces?(): ReturnType<typeof networkInterfaces>
  intervalMs?: number
}

const lookIntervalMs = 60_000
/** A node with very many addresses (virtual functions, containers on host networks). */
const addressesMax = 256

/** Looks each minute; Kubernetes tells the labels by itself. */
export class NodeNames {
  /** Addresses that were left out of what was told. */
  misses = 0
  readonly #options: NodeNamesOptions
  #labels: string[] = []
  #partitions: string[] = []
  #told = ''
  #timer: NodeJS.Timeout | undefined

  constructor(options: NodeNamesOptions) {
    this.#options = options
  }

  start(): void {
    this.look()
    void this.#askPartitions()
    const { intervalMs = lookIntervalMs } = this.#options
    this.#timer = setInterval(() => {
      this.look()
      void this.#askPartitions()
    }, intervalMs)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Labels of the Kubernetes node. */
  setLabels(labels: string[]): void {
    this.#labels = labels
    this.look()
  }

  /** Tells what is different from what was told last. */
  look(): void {
    const { seen, group, interfaces = networkInterfaces } = this.#options
    const addresses = addressesOf(interfaces())
    const node = {
      node_group: group, labels: this.#labels, slurm_partitions: this.#partitions,
      addresses: addresses.slice(0, addressesMax),
    }
    const text = JSON.stringify(node)
    if (text === this.#told) return
    this.#told = text
    this.misses += addresses.length - node.addresses.length
    seen(node)
  }

  async #askPartitions(): Promise<void> {
    const partitions = await this.#options.partitions()
    // None may as well be a controller that is away: what is known stays.
    if (partitions.length === 0) return
    this.#partitions = partitions.sort()
    this.look()
  }
}

/** Addresses that others can reach, sorted. */
export function addressesOf(interfaces: ReturnType<typeof networkInterfaces>): string[] {
  const all = Object.values(interfaces).flatMap((list) => list ?? [])
  const reachable = all.filter(({ internal, address }) =>
    !internal && !address.startsWith('fe80:') && !address.startsWith('169.254.'))
  return [...new Set(reachable.map(({ address }) => address))].sort()
}
