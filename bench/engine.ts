// Stages 9 and 10: opened batches through all detectors to incidents, one thread.

import { Engine } from '../detect/engine.ts'
import { detectors } from '../detectors/index.ts'
import { parsePolicy } from '../policy/parse.ts'
import { decodeBatch } from '../proto/batch.ts'
import { BatchCursor } from '../proto/batch-cursor.ts'
import { median } from './figure.ts'
import type { Figure } from './figure.ts'
import { openedBatches, sampleBatches, samplePolicy } from './sample-batches.ts'
import { batchesOf, eventsOf } from '../detect/example.ts'
import { policy as storePolicy, trainingDays } from '../test/stores/training-days.ts'

const rounds = 5
const batches = 128

/**
 * Events per second of CPU time, middle of several rounds after one that warms up. Of the process:
 * a machine with other work on it says less of the code by the clock on the wall.
 */
function rate(events: number, work: () => void): number {
  const all: number[] = []
  for (let i = 0; i <= rounds; i++) {
    const start = process.cpuUsage()
    work()
    const { user, system } = process.cpuUsage(start)
    if (i > 0) all.push(events / ((user + system) / 1e6))
  }
  return median(all)
}

export async function measure(): Promise<Figure[]> {
  const { policy, problems } = parsePolicy(samplePolicy)
  if (!policy) throw new Error(`the policy of the bench is broken: ${problems[0].message}`)
  const encoded = sampleBatches(batches)
  const opened = openedBatches(encoded)
  const events = opened.reduce((sum, { kinds }) => sum + kinds.length, 0)
  const cursor = new BatchCursor()
  let ports = 0
  const decode = rate(events, () => encoded.forEach((bytes) => void decodeBatch(bytes)))
  const visit = rate(events, () => opened.forEach((batch) => cursor.forEach(batch, (event) => {
    if (event.kind === 'connection_open') ports += event.remote_port
  })))
  let engine = new Engine({ detectors, policy })
  const detect = rate(events, () => {
    engine = new Engine({ detectors, policy })
    opened.forEach((batch, i) => engine.ingest(batch, i + 1))
  })
  const { findings } = engine.counters()
  const found = Object.values(findings).reduce((sum, one) => sum + one, 0)
  if (ports === 0 || found === 0) throw new Error('nothing was read or found: the bench is broken')
  const reads = readsOfStores()
  let bytes = 0
  const snapshot = rate(1, () => { bytes = engine.snapshot().length })
  return [
    { name: 'batches opened', value: decode, unit: 'events/s',
      note: 'envelope, zstd, columns checked' },
    { name: 'columns visited', value: visit, unit: 'events/s',
      note: 'one field of each event read' },
    { name: 'events to incidents', value: detect, unit: 'events/s', at_least: 1_000_000,
      note: `${detectors.length} detectors, ${found} findings in ${events} events` },
    reads,
    { name: 'snapshot', value: 1000 / snapshot, unit: 'ms',
      note: `${Math.round(bytes / 1024)} KiB` },
  ]
}

/** Days of training that read their data sets: the state of stores, and who judges reads. */
function readsOfStores(): Figure {
  const days = [...trainingDays(10)].flat()
  const opened = batchesOf([...eventsOf({ policy: storePolicy, events: [] }), ...days])
  let pairs = 0
  const value = rate(days.length, () => {
    const engine = new Engine({ detectors })
    opened.forEach((batch, i) => engine.ingest(batch, i + 1))
    pairs = engine.counters().store_pairs
  })
  if (pairs === 0) throw new Error('nothing was read of a store: the bench is broken')
  return { name: 'reads of stores to incidents', value, unit: 'events/s',
    note: `${days.length} events, ${pairs} pairs of class and store` }
}
