// Batches as a busy node sends them, made without a kernel: the same numbers in every run.
//
// 64 processes in 8 workloads open and close connections between five planes as the policy below
// allows, a few per hundred thousand where it does not; one attempt of a hundred fails. The rate is
// 20,000 events per second of event time, so that windows and idle times pass as on a node.

import { decodeBatch } from '../proto/batch.ts'
import type { Batch } from '../proto/batch.ts'
import { BatchBuilder } from '../proto/batch-builder.ts'
import type { RecordBuffer } from '../proto/columns.ts'
import { recordHeader } from '../proto/gen/events.ts'
import { RecordWriter } from './sample-records.ts'
import type { RecordValues } from './sample-records.ts'

const planes = ['ingestion', 'training', 'inference', 'orchestration', 'storage']
const addressOf = (plane: number, host: number): string =>
  `10.${10 * (plane + 1)}.${host >> 8}.${host & 255}`
/** Nanoseconds between two events. */
const stepNs = 50_000
const processesMax = 64
const bootNs = 3_600_000_000_000

/** Every plane may call the two behind it. */
export const samplePolicy = [
  'version: 1', 'zones:',
  ...planes.flatMap((name, i) => [
    `  - name: ${name}`, '    exposure: internal',
    `    match: { cidrs: [10.${10 * (i + 1)}.0.0/16] }`,
  ]),
  'flows:',
  ...planes.flatMap((from, i) => [1, 2].map((step) => planes[(i + step) % planes.length])
    .map((to) => `  - { from: ${from}, to: ${to}, ports: [any], reason: bench }`)),
].join('\n')

/** xorshift. */
function random(seed: number): (below: number) => number {
  let state = seed | 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

/** Header of a record of process `number`. */
function identityOf(number: number): RecordValues {
  return {
    pid: 1000 + number * 37, start_time: bootNs / 2 + number * 1_234_567,
    ppid: 900, parent_start_time: 5_000_000_000, uid: 1000 + number % 3,
    comm: `worker-${number % 16}`, cgroup_id: 7000 + number % 8,
  }
}

function factsOf(record: RecordBuffer): { exe: string, cgroup_path: string, workload: string } {
  const job = 4000 + record.u32[recordHeader.cgroup_id >> 2] % 8
  return {
    exe: '/opt/model/bin/worker', workload: `job:${job}`,
    cgroup_path: `/system.slice/slurmstepd.scope/job_${job}/step_0`,
  }
}

/** One node, event after event. */
class SampleNode {
  readonly #next = random(42)
  readonly #open: { at: number, values: RecordValues }[] = []
  readonly #identities = Array.from({ length: processesMax }, (_, number) => identityOf(number))
  #at = 0

  /** Kind and values of the next event. */
  event(): [kind: string, values: RecordValues] {
    const next = this.#next
    const at = this.#at++
    const time = bootNs + at * stepNs + next(stepNs)
    // Closes come in another order than opens.
    const due = this.#open.findIndex((connection) => connection.at <= at)
    if (due >= 0) {
      const [connection] = this.#open.splice(due, 1)
      return ['connection_close', {
        ...connection.values, time, bytes_sent: next(1024) * 2 ** next(14),
        bytes_received: next(1024) * 2 ** next(10),
        duration_ns: time - Number(connection.values.time), rtt_us: 20 + next(500),
      }]
    }
    const values = { ...this.#connection(at), time }
    if (next(100) === 0) {
      return ['connection_failed', { ...values, error: 111, duration_ns: next(200_000) }]
    }
    this.#open.push({ at: at + 1 + next(120), values })
    return ['connection_open', values]
  }

  #connection(at: number): RecordValues {
    const next = this.#next
    const process = next(processesMax)
    const from = process % planes.length
    // One of 50,000 goes where the policy does not let it.
    const to = (from + (next(50_000) === 0 ? 3 : 1 + next(2))) % planes.length
    return {
      ...this.#identities[process], local_addr: addressOf(from, 5),
      remote_addr: addressOf(to, next(800)), local_port: 32_768 + next(28_000),
      remote_port: 9000 + process % 8, netns: 4_026_531_840, connection_id: at,
      // TCP, outgoing, of the caller.
      protocol: 6, direction: 1, process_source: 1,
    }
  }
}

/** `count` encoded batches of `events` events each, from number 1 on. */
export function sampleBatches(count: number, events = 8192): Buffer[] {
  const node = new SampleNode()
  const writer = new RecordWriter()
  const builder = new BatchBuilder({ eventsMax: events, factsOf })
  const batches: Buffer[] = []
  while (batches.length < count) {
    writer.write(...node.event())
    builder.appendRecord(writer.record, 0)
    if (!builder.full) continue
    batches.push(builder.encode({
      node_id: 'node-1', boot_id: '0123456789abcdef0123456789abcdef',
      first_seq: 1 + batches.length * events, clock_offset_ns: 1_790_000_000_000_000_000n,
    }))
  }
  return batches
}

/** The same, opened. */
export function openedBatches(batches: readonly Buffer[]): Batch[] {
  return batches.map((bytes) => decodeBatch(bytes))
}
