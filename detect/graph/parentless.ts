/** Processes whose parent no event has named yet, by that parent. Bounded: the oldest leave. */
import type { LineageProcess } from '../lineage.ts'

export type ParentlessSnapshot = [key: number, children: number[]][]

const PARENTS_MAX = 8192
const CHILDREN_MAX = 64

export class Parentless {
  private readonly byParent = new Map<number, number[]>()

  /** Parents that are waited for. */
  get size(): number { return this.byParent.size }

  /** Its parent, or an ancestor further up, is not known yet. */
  add({ source, ppid, number }: LineageProcess): void {
    const key = keyOf(source, ppid)
    const children = this.byParent.get(key)
    if (children === undefined) this.byParent.set(key, [number])
    else if (!children.includes(number) && children.length < CHILDREN_MAX) children.push(number)
    for (const oldest of this.byParent.keys()) {
      if (this.byParent.size <= PARENTS_MAX) break
      this.byParent.delete(oldest)
    }
  }

  /** Numbers of those that waited for this process; they wait no more. */
  take({ source, pid }: LineageProcess): number[] {
    const key = keyOf(source, pid)
    const children = this.byParent.get(key)
    if (children === undefined) return []
    this.byParent.delete(key)
    return children
  }

  snapshot(): ParentlessSnapshot {
    return [...this.byParent].map(([key, children]) => [key, [...children]])
  }

  /** Takes over what `snapshot` gave; this one must be empty. */
  restore(from: ParentlessSnapshot): void {
    for (const [key, children] of from) this.byParent.set(key, children)
  }
}

/** Exact for the first two million nodes and boots. */
function keyOf(source: number, pid: number): number {
  return source * 4294967296 + pid
}
