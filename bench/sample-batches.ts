// Batches as a busy node sends them, made without a kernel: the same numbers in every run.
//
// 64 processes in 8 workloads open and close connections between five planes as the policy below
// allows, a few per hundred thousand where it does not; each connection 2 ms on average; one failed
// attempt per 200. The rate is 20,000 events per second of event time, so that windows and idle
// times pass as on a node.

import { decodeBatch } from '../proto/batch.ts'
import type { Batch } from '../proto/batch.ts'
import { BatchBuilder } from '../proto/batch-builder.ts'
import type { EventKind, EventValues, Process } from '../proto/gen/events.ts'

const planes = ['ingestion', 'training', 'inference', 'orchestration', 'storage']
const addressOf = (plane: number, host: number): string => `10.${10 * (plane + 1)}.${host >> 8}.${host & 255}`
/** Nanoseconds between two events. */
const stepNs = 50_000
const processesMax = 64
const bootNs = 3_600_000_000_000

/** Every plane may call the two behind it. */
export const samplePolicy = [
  'version: 1', 'zones:',
  ...planes.flatMap((name, i) => [
    `  - name: ${name}`, '    exposure: internal', '    match:', `      cidrs: [10.${10 * (i + 1)}.0.0/16]`,
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

function processOf(number: number): Partial<Process> {
  const workload = `job:${4000 + number % 8}`
  return {
    pid: 1000 + number * 37, start_time: BigInt(bootNs / 2 + number * 1_234_567),
    ppid: 900, parent_start_time: 5_000_000_000n, uid: 1000 + number % 3,
    comm: `worker-${number % 16}`, exe: `/opt/model/bin/worker-${number % 16}`,
    cgroup_id: BigInt(7000 + number % 8),
    cgroup_path: `/system.slice/slurmstepd.scope/job_${4000 + number % 8}/step_0`, workload,
  }
}

/** `count` encoded batches of `events` events each, from number 1 on. */
export function sampleBatches(count: number, events = 8192): Buffer[] {
  const next = random(42)
  const builder = new BatchBuilder({
    eventsMax: events, factsOf: () => ({ exe: '', cgroup_path: '', workload: '' }),
  })
  const processes = Array.from({ length: processesMax }, (_, number) => processOf(number))
  const open: { at: number, values: Partial<EventValues['connection_open']>, process: number }[] = []
  const batches: Buffer[] = []
  const take = <K extends EventKind>(kind: K, values: Partial<EventValues[K]>, at: number, process: number): void => {
    builder.append(kind, values, BigInt(bootNs + at * stepNs), processes[process])
  }
  for (let at = 0; at < count * events; at++) {
    const oldest = open[0]
    if (oldest && oldest.at <= at) {
      open.shift()
      take('connection_close', {
        ...oldest.values, bytes_sent: next(1024) << next(14), bytes_received: next(1024) << next(10),
        duration_ns: (at - oldest.at + 41) * stepNs + next(stepNs), rtt_us: 20 + next(500),
      }, at, oldest.process)
    } else {
      const process = next(processesMax)
      const from = process % planes.length
      // One of 50,000 goes where the policy does not let it.
      const to = (from + (next(50_000) === 0 ? 3 : 1 + next(2))) % planes.length
      const values = {
        local_addr: addressOf(from, 5), remote_addr: addressOf(to, next(800)), protocol: 'tcp',
        local_port: 32_768 + next(28_000), remote_port: 9000 + process % 8, netns: 4_026_531_840,
        direction: 'outgoing', connection_id: BigInt(at), process_source: 'caller',
      }
      if (next(100) === 0) {
        take('connection_failed', { ...values, error: 111, duration_ns: next(200_000) }, at, process)
      } else {
        take('connection_open', values, at, process)
        open.push({ at: at + 20 + next(40), values, process })
      }
    }
    if (builder.full) {
      batches.push(builder.encode({
        node_id: 'node-1', boot_id: '0123456789abcdef0123456789abcdef',
        first_seq: 1 + batches.length * events, clock_offset_ns: 1_790_000_000_000_000_000n,
      }))
    }
  }
  return batches
}

/** The same, opened. */
export function openedBatches(batches: readonly Buffer[]): Batch[] {
  return batches.map((bytes) => decodeBatch(bytes))
}
