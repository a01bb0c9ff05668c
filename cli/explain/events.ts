/** Explanations of events of the log, with all that the log knew of both ends then. */
import { ACCEPTED } from '../../detect/context.ts'
import type { Context } from '../../detect/context.ts'
import { defineDetector } from '../../detect/detector.ts'
import type { Evidence } from '../../detect/finding.ts'
import { Engine } from '../../detect/engine.ts'
import { wordOf } from '../../detect/names/address-names.ts'
import { endpoint } from '../../detect/words.ts'
import type { Explanation } from '../../policy/explain.ts'
import { explainAccess } from '../../policy/explain-store.ts'
import type { StoreExplanation } from '../../policy/explain-store.ts'
import type { Policy } from '../../policy/policy.ts'
import { BatchError, decodeBatch } from '../../proto/batch.ts'
import { formatTime } from '../../proto/event-json.ts'
import type { Frame } from '../learn/source.ts'
import { say } from '../output.ts'
import type { EventViews } from '../../proto/gen/events.ts'

/** One explained event, under the policy with this digest. */
interface Explained {
  evidence: Evidence
  kind: string
  time: string
  policy: string
}

/** A connection. `from` and `to` are the ends, as far as they are known. */
export interface ExplainedConnection extends Explained {
  from: ExplainedProcess
  to: ExplainedProcess
  explanation: Explanation
  /** Whether who opened it may read the store at its far end; null: there is none. */
  read: StoreExplanation | null
}

/** Somebody reads or changes a store. */
export interface ExplainedAccess extends Explained {
  by: ExplainedProcess
  access: StoreExplanation
}

export type ExplainedEvent = ExplainedConnection | ExplainedAccess

/** An end in words. */
export interface ExplainedProcess {
  endpoint: string
  /** Whom the address stands for; '' when that is not known. */
  name: string
  exe?: string
  pid?: number
  node_id?: string
  workload?: string
}

/** Which events; without a boot, those of any. */
export interface Wanted { node_id: string, boot_id: string | null, seq: number }

type Connection = EventViews[
  'connection_open' | 'connection_close' | 'connection_failed' | 'connection_repeat' |
  'connection_totals' | 'datagram_flow' | 'rdma_connection']
type Access = EventViews['store_read' | 'store_write']

/** So long after the last one the other end of a connection is waited for. */
const WAIT_MS = 15_000

/**
 * Reads the log from its beginning, as detectors do, until all are found and their other ends had
 * time to come. Events that nothing is to be explained of, or that are not in the log, are not in
 * the result.
 *
 * @param policy in force whatever the log says; null: that of the log at that time
 */
export async function explainEvents(
  frames: Iterable<Frame> | AsyncIterable<Frame>, wanted: readonly Wanted[],
  policy: Policy | null,
): Promise<ExplainedEvent[]> {
  const found = new Map<Wanted, ExplainedEvent>()
  /** By connection: whose other end has not come. */
  const waiting = new Map<number, Wanted>()
  let untilMs = Infinity
  const wantedOf = ({ seq, node_id, boot_id }: Connection | Access): Wanted | undefined =>
    wanted.find((entry) => entry.seq === seq && entry.node_id === node_id &&
      (entry.boot_id ?? boot_id) === boot_id)
  const lookAtAccess = (event: Access, context: Context): void => {
    const one = wantedOf(event)
    const access = one === undefined ? null : explainedAccess(event, context)
    if (one === undefined || access === null) return
    found.set(one, access)
    if (found.size === wanted.length) untilMs = event.time_ms + WAIT_MS
  }
  const look = (event: Connection | Access, context: Context): void => {
    if (event.kind === 'store_read' || event.kind === 'store_write') {
      lookAtAccess(event, context)
      return
    }
    const one = wantedOf(event)
    const single = event.kind === 'connection_failed' || event.kind === 'connection_repeat'
    const peer = single ? null : context.peer(event)
    if (one !== undefined) {
      found.set(one, explained(event, context, peer?.process ?? null))
      if (!single && peer === null) waiting.set(context.connection(event), one)
      if (found.size === wanted.length) untilMs = event.time_ms + WAIT_MS
    } else if (!single && waiting.size > 0 && peer !== null) {
      const earlier = waiting.get(context.connection(event))
      if (earlier === undefined) return
      waiting.delete(context.connection(event))
      const { evidence, kind, time } = found.get(earlier)!
      found.set(earlier, { ...explained(event, context, peer.process), evidence, kind, time })
    }
  }
  const engine = new Engine({
    detectors: [lookingWith(look)], ...(policy === null ? {} : { policyOverride: policy }),
  })
  for await (const { position, payload } of frames) {
    try {
      engine.ingest(decodeBatch(payload), position)
    } catch (error) {
      if (!(error instanceof BatchError)) throw error
      say(`vedette: batch ${position} of the event log cannot be read: ${error.message}`)
    }
    if (found.size === wanted.length && waiting.size === 0) break
    if (engine.watermarkMs > untilMs) break
  }
  return wanted.flatMap((one) => found.get(one) ?? [])
}

/** A detector that reports nothing and shows every connection, read and write. */
function lookingWith(look: (event: Connection | Access, context: Context) => void) {
  return defineDetector({
    id: 'EXPLAIN-000', title: 'explains', severity: 'low', maturity: 'stable', attack: [],
    atlas: [], blindSpots: [], runbook: '', settings: {}, examples: [],
    needs: ['connection_open', 'connection_close', 'connection_failed', 'connection_repeat',
      'connection_totals', 'datagram_flow', 'rdma_connection', 'store_read', 'store_write'],
    state: { initial: () => null, keysMax: 1, idleMs: 1 },
    key: () => 'all',
    evaluate: (event, _, context) => look(event, context),
  })
}

/** Null where the policy has no such store, or the process is not known. */
function explainedAccess(event: Access, context: Context): ExplainedAccess | null {
  const { policy, process, zones } = context
  const store = policy.stores.get(event.store)
  if (store === null || process === null) return null
  const action = event.kind === 'store_read' ? 'read' : 'write'
  const { exe, pid, node_id } = process
  return {
    evidence: context.evidence, kind: event.kind, time: formatTime(event.wall_ns),
    policy: policy.sha256,
    by: { endpoint: '', name: '', exe, pid, node_id, workload: context.workloadOf(process) },
    access: explainAccess(policy, store, action, zones.factsOfProcess(process),
      context.zoneOf(process)),
  }
}

function explained(
  event: Connection, context: Context, peer: Context['process'],
): ExplainedConnection {
  const accepted = event.kind !== 'connection_failed' &&
    event.columns.direction[event.row] === ACCEPTED
  const { columns, row } = event
  const near = endOf(context, context.process, event.local_addr, event.local_port,
    columns.local_addr, 16 * row)
  const far = endOf(context, peer, event.remote_addr, event.remote_port,
    columns.remote_addr, 16 * row)
  return {
    evidence: context.evidence, kind: event.kind, time: formatTime(event.wall_ns),
    policy: context.policy.sha256,
    from: accepted ? far : near, to: accepted ? near : far,
    explanation: context.zones.explain(event, context.process, peer, accepted),
    read: accepted ? null : readOver(event, context),
  }
}

/** Of the connecting end, when a store answers at the other one. */
function readOver(event: Connection, context: Context): StoreExplanation | null {
  const { policy, process, zones } = context
  const { columns: { remote_addr: far, remote_port: port }, row } = event
  const store = policy.stores.get(zones.storeAt(far, 16 * row, port[row]))
  return store === null || process === null ? null
    : explainAccess(policy, store, 'read', zones.factsOfProcess(process), context.zoneOf(process))
}

function endOf(
  context: Context, process: Context['process'], address: string, port: number,
  bytes: Uint8Array, at: number,
): ExplainedProcess {
  const place = { endpoint: endpoint(address, port), name: wordOf(context.nameOf(bytes, at, port)) }
  if (process === null) return place
  const { exe, pid, node_id } = process
  return { ...place, exe, pid, node_id, workload: context.workloadOf(process) }
}
