/** What files of stores hold by their manifests, and what of stores could not be seen. */
import type { EventJson } from '../../proto/event-json.ts'

/** What was found of the content of one store: files by their last verdict. */
export interface ContentFound {
  matches: number
  differs: number
  not_listed: number
  unknown: number
  /** The first few that are not what a manifest says, and then those of which nothing is known. */
  problems: { path: string, verdict: string, reason: string }[]
}

/** Something that one node does not show. */
export interface Blindness {
  node_id: string
  /** In words. */
  lost: string
  reason: string
}

interface Digest { store: string, path: string, verdict: string, reason: string }

const FILES_MAX = 65_536
const PROBES_MAX = 65_536
const PROBLEMS_MAX = 20
const VERDICTS = ['differs', 'not_listed', 'unknown', 'matches'] as const
/** Probes that show stores of files, and those that show what comes over connections. */
const OF_FILES = /^store_/
const OF_CONNECTIONS = /^connection_(close|totals|repeat)$/

/** Verdicts about files, the last of each. */
export class StoreContent {
  /** Files beyond the bound. */
  unlisted = 0
  readonly #files = new Map<string, Digest>()

  take(event: EventJson): void {
    const [store, path] = [textOf(event, 'store'), textOf(event, 'path')]
    const key = JSON.stringify([store, event['node_id'], path])
    if (this.#files.size >= FILES_MAX && !this.#files.has(key)) {
      this.unlisted++
      return
    }
    this.#files.set(key,
      { store, path, verdict: textOf(event, 'verdict'), reason: textOf(event, 'reason') })
  }

  /** Null when nothing was looked at. */
  of(store: string): ContentFound | null {
    const own = [...this.#files.values()].filter((one) => one.store === store)
    if (own.length === 0) return null
    const [differs, not_listed, unknown, matches] = VERDICTS.map((verdict) =>
      own.filter((one) => one.verdict === verdict))
    return {
      matches: matches.length, differs: differs.length, not_listed: not_listed.length,
      unknown: unknown.length,
      problems: [...differs, ...not_listed, ...unknown].slice(0, PROBLEMS_MAX)
        .map(({ path, verdict, reason }) => ({ path, verdict, reason })),
    }
  }
}

/** Probes that are missing or see less than they should, and events that were lost. */
export class StoreBlindness {
  readonly #probes = new Map<string, Blindness & { probe: string }>()
  /** Events of the range that were lost, by node and kind. */
  readonly #gaps = new Map<string, { node: string, kind: string, count: number, reason: string }>()

  /** Takes a `probe_state` event over, in the order of the log. */
  learn(event: EventJson): void {
    const [node, probe] = [textOf(event, 'node_id'), textOf(event, 'probe')]
    if (!OF_FILES.test(probe) && !OF_CONNECTIONS.test(probe)) return
    const key = JSON.stringify([node, probe])
    const lost = textOf(event, 'lost')
    if (lost === '' || textOf(event, 'state') === 'waiting') this.#probes.delete(key)
    else if (this.#probes.size < PROBES_MAX) {
      this.#probes.set(key, { node_id: node, probe, lost, reason: textOf(event, 'reason') })
    }
  }

  /** Takes a `gap` event of the range over. */
  count(event: EventJson): void {
    const [node, kind] = [textOf(event, 'node_id'), textOf(event, 'event_kind')]
    if (!OF_FILES.test(kind) && !OF_CONNECTIONS.test(kind)) return
    const key = JSON.stringify([node, kind])
    const before = this.#gaps.get(key)?.count ?? 0
    if (before === 0 && this.#gaps.size >= PROBES_MAX) return
    this.#gaps.set(key, { node, kind, count: before + Number(event['count'] ?? 0),
      reason: textOf(event, 'reason') })
  }

  /**
   * What is not seen of a store.
   *
   * @param nodes that watch its files
   * @param hasEndpoints it is, too, what comes over connections, of any node
   */
  of(nodes: ReadonlySet<string>, hasEndpoints: boolean): Blindness[] {
    const concerns = (node: string, name: string): boolean =>
      (OF_FILES.test(name) && nodes.has(node)) ||
      (hasEndpoints && OF_CONNECTIONS.test(name))
    return [
      ...[...this.#probes.values()].filter(({ node_id, probe }) => concerns(node_id, probe))
        .map(({ probe: _, ...blindness }) => blindness),
      ...[...this.#gaps.values()].filter(({ node, kind }) => concerns(node, kind))
        .map(({ node, kind, count, reason }) =>
          ({ node_id: node, lost: `${count} events ${kind} of this time`, reason })),
    ].sort((a, b) => a.node_id < b.node_id ? -1 : a.node_id > b.node_id ? 1 : 0)
  }
}

function textOf(event: EventJson, name: string): string {
  return String(event[name] ?? '')
}
