/** Nodes and their boots: which event of each comes next. Bounded. */
import type { BatchEnvelope } from '../../proto/batch.ts'

/** One boot of one node. */
export interface Source {
  /** Never used again for another one. */
  number: number
  node_id: string
  boot_id: string
  /** The event that comes next. */
  nextSeq: number
  /** Watermark at the last batch. */
  touchedMs: number
}

export type SourceSnapshot = { sources: Source[]; nextNumber: number; evictions: number }

export class SourceTable {
  evictions = 0
  private readonly byName = new Map<string, Source>()
  private readonly byNumber = new Map<number, Source>()
  private readonly sourcesMax: number
  private nextNumber = 1

  constructor(sourcesMax = 20_000) {
    this.sourcesMax = sourcesMax
  }

  /** The source of a batch. One that is new expects the batch as it is. */
  of(envelope: BatchEnvelope, nowMs: number): Source {
    const name = nameOf(envelope)
    let source = this.byName.get(name)
    if (source === undefined) {
      if (this.byName.size >= this.sourcesMax) this.evict()
      source = {
        number: this.nextNumber++, node_id: envelope.node_id, boot_id: envelope.boot_id,
        nextSeq: envelope.first_seq, touchedMs: nowMs,
      }
      this.add(source)
    }
    source.touchedMs = nowMs
    return source
  }

  find(nodeId: string, bootId: string): Source | null {
    return this.byName.get(nameOf({ node_id: nodeId, boot_id: bootId })) ?? null
  }

  get(number: number): Source | null {
    return this.byNumber.get(number) ?? null
  }

  private add(source: Source): void {
    this.byName.set(nameOf(source), source)
    this.byNumber.set(source.number, source)
  }

  private evict(): void {
    const order = [...this.byNumber.values()]
      .sort((a, b) => a.touchedMs - b.touchedMs || a.number - b.number)
    const leaving = order.slice(0, Math.max(1, this.sourcesMax >> 4))
    for (const source of leaving) {
      this.byName.delete(nameOf(source))
      this.byNumber.delete(source.number)
    }
    this.evictions += leaving.length
  }

  snapshot(): SourceSnapshot {
    const { nextNumber, evictions } = this
    return { sources: [...this.byNumber.values()], nextNumber, evictions }
  }

  /** Takes over what `snapshot` gave, which must not be used again; this one must be empty. */
  restore(from: SourceSnapshot): void {
    for (const source of from.sources) this.add(source)
    this.nextNumber = from.nextNumber
    this.evictions = from.evictions
  }
}

function nameOf({ node_id: node, boot_id: boot }: { node_id: string; boot_id: string }): string {
  return `${boot} ${node}`
}
