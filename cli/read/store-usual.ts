/** Stores as `--data` or `--server` know them: readings of a range, and what is usual. */
import { join } from 'node:path'
import { readSnapshot, snapshotPositions } from '../../correlator/state/snapshots.ts'
import { Engine } from '../../detect/engine.ts'
import { usualLines } from '../../detect/stores/usual-json.ts'
import type { UsualJson } from '../../detect/stores/usual-json.ts'
import { BatchError, decodeBatch } from '../../proto/batch.ts'
import type { EventJson } from '../../proto/event-json.ts'
import { say } from '../output.ts'
import type { Values } from '../settings.ts'
import { frames, offlineEvents, openReader } from './offline.ts'
import { QueryServer } from './server.ts'
import { StoreReadings } from './store-readings.ts'

/** Milliseconds since 1970, both ends included; Infinity for no end. */
export interface Range { fromMs: number, toMs: number }

const OF_STORES = ['policy_applied', 'store_seen', 'probe_state']
const IN_RANGE = ['store_read', 'store_write', 'store_listing', 'artifact_digest', 'gap']
/** These say how much came over connections. */
const OF_CONNECTIONS = ['connection_close', 'connection_repeat', 'connection_totals']

/** What the log says of a range. Throws CliError. */
export async function readReadings(values: Values, range: Range): Promise<StoreReadings> {
  const readings = new StoreReadings(range.fromMs)
  let hasEndpoints = false
  for await (const event of eventsOf(values, OF_STORES, { fromMs: 0, toMs: Infinity })) {
    readings.learn(event)
    hasEndpoints ||= readings.stores.some(({ endpoints }) => endpoints.length > 0)
  }
  const kinds = [...IN_RANGE, ...hasEndpoints ? OF_CONNECTIONS : []]
  for await (const event of eventsOf(values, kinds, range)) readings.count(event)
  return readings
}

async function* eventsOf(
  values: Values, kinds: string[], { fromMs, toMs }: Range,
): AsyncGenerator<EventJson, void, undefined> {
  const server = values.data === undefined ? new QueryServer(values) : null
  try {
    const pages = server === null
      ? offlineEvents(values.data!, { fromMs, toMs, kinds, nodes: [], limit: 0 }, null)
      : server.events({ kinds, from_ms: Math.max(0, Math.floor(fromMs)),
        to_ms: toMs === Infinity ? 0 : Math.ceil(toMs) })
    for await (const lines of pages) {
      for (const line of lines) {
        const event = JSON.parse(line) as EventJson
        if (event['missed'] === undefined) yield event
        else say(`vedette: not complete: ${String(event['missed'])}`)
      }
    }
  } finally {
    server?.close()
  }
}

/** What is usual of whoever read since `fromMs`, by store and class. Throws CliError. */
export async function readUsual(
  values: Values, fromMs: number, stores: readonly string[],
): Promise<Map<string, UsualJson>> {
  const found = new Map<string, UsualJson>()
  const take = (usual: UsualJson): void => {
    found.set(usualKey(usual.store, usual.workload_class), usual)
  }
  if (values.data !== undefined) {
    for (const usual of usualLines(engineOf(values.data).stores, fromMs, stores)) take(usual)
    return found
  }
  const server = new QueryServer(values)
  try {
    const from_ms = Math.max(0, Math.floor(fromMs))
    for await (const lines of server.stores({ from_ms, stores: [...stores] })) {
      for (const line of lines) take(JSON.parse(line) as UsualJson)
    }
  } finally {
    server.close()
  }
  return found
}

/** Key of a pair in what `readUsual` gives. */
export function usualKey(store: string, workloadClass: string): string {
  return JSON.stringify([store, workloadClass])
}

/** What the correlator of a data folder knows: its newest snapshot, and the log after it. */
function engineOf(data: string): Engine {
  const reader = openReader(data, 'log')
  const { engine, position } = restored(join(data, 'snapshots'))
  for (const entry of frames(reader, position + 1)) {
    try {
      engine.ingest(decodeBatch(entry.payload), entry.position)
    } catch (error) {
      if (!(error instanceof BatchError)) throw error
      say(`vedette: batch ${entry.position} of the event log cannot be read: ${error.message}`)
    }
  }
  return engine
}

function restored(dir: string): { engine: Engine, position: number } {
  for (const position of snapshotPositions(dir)) {
    try {
      const { engine } = readSnapshot(dir, position)
      return { engine: Engine.restore(engine, { detectors: [] }), position }
    } catch (error) {
      say(`vedette: snapshot at ${position}: ${(error as Error).message}`)
    }
  }
  return { engine: new Engine({ detectors: [] }), position: 0 }
}
