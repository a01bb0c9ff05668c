/** What nodes told of themselves, by the name that they have in batches. Bounded. */

/** What is known of one node; plain data. */
export interface NodeFacts {
  node_id: string
  /** Group of the node; '' when it has none. */
  group: string
  /** Labels of the Kubernetes node, each `key=value`. */
  labels: readonly string[]
  /** Partitions of Slurm that it is in. */
  partitions: readonly string[]
  /** Addresses of its interfaces, as text. */
  addresses: readonly string[]
  /** Watermark when it was told last. */
  touchedMs: number
}

export type NodeTableSnapshot = { nodes: NodeFacts[]; evictions: number }

/** Entries of a list that one node may bring; a node has tens of labels and addresses. */
const LIST_MAX = 256

export class NodeTable {
  /** Nodes that were forgotten to make room. */
  evictions = 0
  private readonly byName = new Map<string, NodeFacts>()
  private readonly nodesMax: number

  constructor(nodesMax = 20_000) {
    this.nodesMax = nodesMax
  }

  get(nodeId: string): NodeFacts | null {
    return this.byName.get(nodeId) ?? null
  }

  /**
   * Takes over what a node said. The facts as they were before, `same` when nothing changed.
   *
   * @param forget called for each node that leaves to make room
   */
  learn(facts: NodeFacts, forget: (leaving: NodeFacts) => void): NodeFacts | null | 'same' {
    const before = this.byName.get(facts.node_id) ?? null
    const now = { ...facts, labels: facts.labels.slice(0, LIST_MAX),
      partitions: facts.partitions.slice(0, LIST_MAX),
      addresses: facts.addresses.slice(0, LIST_MAX) }
    if (before !== null && sameFacts(before, now)) {
      before.touchedMs = facts.touchedMs
      return 'same'
    }
    if (before === null && this.byName.size >= this.nodesMax) this.evict(forget)
    this.byName.set(facts.node_id, now)
    return before
  }

  private evict(forget: (leaving: NodeFacts) => void): void {
    const order = [...this.byName.values()].sort((a, b) => a.touchedMs - b.touchedMs)
    const leaving = order.slice(0, Math.max(1, this.nodesMax >> 4))
    for (const facts of leaving) {
      this.byName.delete(facts.node_id)
      forget(facts)
    }
    this.evictions += leaving.length
  }

  snapshot(): NodeTableSnapshot {
    return { nodes: [...this.byName.values()], evictions: this.evictions }
  }

  /** Takes over what `snapshot` gave, which must not be used again; this one must be empty. */
  restore(from: NodeTableSnapshot): void {
    for (const facts of from.nodes) this.byName.set(facts.node_id, facts)
    this.evictions = from.evictions
  }
}

function sameFacts(a: NodeFacts, b: NodeFacts): boolean {
  return a.group === b.group && sameList(a.labels, b.labels) &&
    sameList(a.partitions, b.partitions) && sameList(a.addresses, b.addresses)
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, index) => text === b[index])
}
