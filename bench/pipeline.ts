// Stages 1 to 3: from the ring buffer to columns readable in JavaScript, and on to encoded batches.
//
// The records are real in shape and written by the code of the probes (flood.bpf.c), from another
// process on the other core. The rate is held for a second or more; a record that does not fit the
// ring is counted by the kernel and the rate does not count as reached.

import { decodeBatch } from '../proto/batch.ts'
import type { BatchBuilder } from '../proto/batch-builder.ts'
import { ScopeCgroup } from '../test/probes/scope-cgroup.ts'
import { median } from './figure.ts'
import type { Figure } from './figure.ts'
import { residentOf } from './process-cost.ts'
import { startFlood, temporaryFolder } from './rig.ts'
import type { LoadMaker } from './rig.ts'
import { BenchWatch } from './watch.ts'

const rounds = 7
/** Something else on the machine may take both cores for longer than the ring lasts. */
const tries = 3
const goalRate = 1_000_000
const ratesTried = [1, 1.5, 2, 2.5, 3, 4, 5, 6].map((millions) => millions * 1e6)
const identity = { node_id: 'bench', boot_id: '0'.repeat(32), clock_offset_ns: 0n }

interface Round { nsPerRecord: number, lost: number }

async function round(watch: BenchWatch, flood: LoadMaker, records: number, rate: number):
Promise<Round> {
  const before = { ...watch.counts(), records: watch.records, cpu: process.cpuUsage() }
  await flood.make(records, rate)
  await watch.drained()
  const cpu = process.cpuUsage(before.cpu)
  const { produced, lost } = watch.counts()
  const taken = watch.records - before.records
  const lostNow = lost - before.lost
  if (taken + lostNow !== produced - before.produced) {
    throw new Error(`${produced - before.produced} produced, ${taken} taken, ${lostNow} lost`)
  }
  return { nsPerRecord: (cpu.user + cpu.system) * 1000 / taken, lost: lostNow }
}

async function nsPerRecord(watch: BenchWatch, flood: LoadMaker): Promise<number> {
  await round(watch, flood, goalRate, goalRate)
  const all: number[] = []
  for (let i = 0; i < rounds; i++) {
    all.push((await round(watch, flood, goalRate, goalRate)).nsPerRecord)
  }
  return median(all)
}

/** The highest of the rates at which two seconds in a row lose nothing. */
async function rateWithoutLoss(watch: BenchWatch, flood: LoadMaker): Promise<number> {
  await round(watch, flood, goalRate, goalRate / 2)
  let reached = 0
  for (const rate of ratesTried) {
    let lost = 1
    for (let i = 0; i < tries && lost > 0; i++) {
      lost = (await round(watch, flood, 2 * rate, rate)).lost
    }
    if (lost > 0) break
    reached = rate
  }
  return reached
}

interface Encoded { events: number, bytes: number, last: Buffer | undefined }

/** Batches are encoded as the agent does, and counted instead of stored. */
function encodeInto(encoded: Encoded): (builder: BatchBuilder) => void {
  return (builder) => {
    const { count } = builder
    encoded.last = builder.encode({ ...identity, first_seq: 1 + encoded.events })
    encoded.events += count
    encoded.bytes += encoded.last.length
  }
}

export async function measure(): Promise<Figure[]> {
  const cgroup = new ScopeCgroup()
  const watch = new BenchWatch(cgroup)
  try {
    const flood = await startFlood(process.pid, temporaryFolder())
    const rate = await rateWithoutLoss(watch, flood)
    const columns = await nsPerRecord(watch, flood)
    const encoded: Encoded = { events: 0, bytes: 0, last: undefined }
    watch.full = encodeInto(encoded)
    const batches = await nsPerRecord(watch, flood)
    flood.end()
    if (decodeBatch(encoded.last!).kinds.length === 0) throw new Error('the batch is empty')
    return [
      { name: 'ring to columns, no loss', value: rate, unit: 'records/s', at_least: goalRate,
        note: `highest of the rates tried, held for 2 s, best of ${tries}` },
      { name: 'ring to columns, CPU', value: columns, unit: 'ns/record', below: 100,
        note: `at 1,000,000/s, median of ${rounds} × 1 s` },
      { name: 'ring to encoded batches, CPU', value: batches, unit: 'ns/record',
        note: 'the same, with dictionary, zstd and envelope' },
      { name: 'encoded batch', value: encoded.bytes / encoded.events, unit: 'B/event', below: 20,
        note: 'opens and closes, 8,192 events per batch' },
      { name: 'resident, highest', value: residentOf(process.pid).peak, unit: 'MiB',
        note: 'of this process: the first stages of an agent' },
    ]
  } finally {
    watch.close()
    await cgroup.remove()
  }
}
