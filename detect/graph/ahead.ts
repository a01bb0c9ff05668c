/**
 * Looks at what the next events of a batch will ask for, a few dozen at once. With a million
 * connections it is far away in memory: asked for by one event after the other it is waited for
 * each time, asked for together it comes together. Changes nothing of what is known.
 */
import type { Batch } from '../../proto/batch.ts'
import { kindInfos } from '../../proto/gen/events.ts'
import type { EventViews } from '../../proto/gen/events.ts'
import type { Lineage, LineageProcess } from '../lineage.ts'
import type { Connections } from './connections.ts'
import { keyOfRow } from './keys.ts'
import type { ConnectionKey } from './keys.ts'
import type { OriginRules } from './origins.ts'

/** Events that are looked at together; a power of two. */
export const AHEAD = 32

const numberOf = (kind: string): number => kindInfos.find((info) => info.kind === kind)!.number
const OPEN = numberOf('connection_open')
const CLOSE = numberOf('connection_close')

type Columns = EventViews['connection_open' | 'connection_close']['columns']
type Processes = readonly (LineageProcess | undefined)[]

export class Ahead {
  private readonly connections: Connections
  private readonly rules: OriginRules
  private readonly lineage: Lineage
  /** Keys, two words each, by the low bits of the place of the event in its batch. */
  private readonly keys = new Uint32Array(2 * AHEAD)
  private readonly key = { low: 0, high: 0 }
  /** Of the events that are about connections: where the key is, the slot, and the two ends. */
  private readonly places = new Uint8Array(AHEAD)
  private readonly slots = new Int32Array(AHEAD)
  private readonly near = new Array<LineageProcess | null>(AHEAD).fill(null)
  private readonly far = new Array<LineageProcess | null>(AHEAD).fill(null)
  /** Made of all that was seen, so that no look can be left out. */
  seen = 0

  constructor(connections: Connections, rules: OriginRules, lineage: Lineage) {
    this.connections = connections
    this.rules = rules
    this.lineage = lineage
  }

  /**
   * @param source number of the node and boot
   * @param from the event of the batch that comes next
   * @param rows next row of each kind
   * @param processes those of the rows of the batch, as far as they are known
   */
  look(
    batch: Batch, source: number, from: number, rows: Uint32Array, processes: Processes,
  ): void {
    const { kinds, columns: { connection_open: opens, connection_close: closes } } = batch
    const to = Math.min(kinds.length, from + AHEAD)
    let [open, close] = [rows[OPEN], rows[CLOSE]]
    let count = 0
    for (let index = from; index < to; index++) {
      const kind = kinds[index]
      if (kind === OPEN) this.note(count++, index, opens!, open++, source, processes)
      else if (kind === CLOSE) this.note(count++, index, closes!, close++, source, processes)
    }
    if (count === 0) return
    this.seen = this.seeRows(count) ^ this.seeOrigins(this.near, count) ^
      this.seeOrigins(this.far, count)
  }

  /** Key of an event, by its place in the batch, that was looked at last. */
  keyOf(index: number, key: ConnectionKey): void {
    const at = 2 * (index & (AHEAD - 1))
    key.low = this.keys[at]
    key.high = this.keys[at + 1]
  }

  private note(
    i: number, index: number, columns: Columns, row: number, source: number, processes: Processes,
  ): void {
    const { key, keys } = this
    keyOfRow(columns, row, source, columns.direction[row], key)
    const place = index & (AHEAD - 1)
    this.places[i] = place
    keys[2 * place] = key.low
    keys[2 * place + 1] = key.high
    this.near[i] = processes[columns.process[row]] ?? null
  }

  /** Rows of connections, and who is at their other end. */
  private seeRows(count: number): number {
    const { keys, places, slots, near, far, lineage, connections: { index, columns } } = this
    let seen = 0
    // No branch may depend on what is far away: a wrong guess would wait for it.
    for (let i = 0; i < count; i++) seen ^= index.glance(keys[2 * places[i]])
    for (let i = 0; i < count; i++) {
      const at = 2 * places[i]
      slots[i] = Math.max(0, index.first(keys[at], keys[at + 1]))
    }
    for (let i = 0; i < count; i++) seen ^= columns.glance(slots[i])
    for (let i = 0; i < count; i++) {
      const both = columns.client.get(slots[i]) + columns.server.get(slots[i])
      far[i] = lineage.glance(both - (near[i]?.number ?? 0))
    }
    return seen
  }

  /** What led to processes. */
  private seeOrigins(processes: readonly (LineageProcess | null)[], count: number): number {
    const { accepted } = this.rules
    let seen = 0
    for (let i = 0; i < count; i++) {
      const process = processes[i]
      if (process !== null) seen ^= process.zone ^ process.lastHead
    }
    for (let i = 0; i < count; i++) seen ^= processes[i]?.origins?.tainted ?? 0
    for (let i = 0; i < count; i++) {
      const origins = processes[i]?.origins
      if (origins) seen ^= accepted.glance(origins)
    }
    return seen
  }
}
