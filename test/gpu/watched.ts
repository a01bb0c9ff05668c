// The state of GPUs of a stand-in node, watched as the agent does it, with its events at hand.

import { openGpus } from '../../agent/gpu/open.ts'
import type { Gpus, GpusOptions } from '../../agent/gpu/open.ts'
import { sampleRead } from '../../agent/sample/records.ts'
import type { GpuEvidence, GpuState, Process } from '../../proto/gen/events.ts'
import { FakeNode } from './node.ts'
import { NvmlStandIn } from './nvml.ts'

export const uuids = [1, 2].map((n) => `GPU-b1000000-0c4b-45a1-9a54-6a5f1f8c000${n}`)

export type StateEvent = Partial<GpuState> & { process?: Partial<Process> }

/** A node with two GPUs, a driver and its library; close() ends it. */
export class Watched {
  readonly node = new FakeNode().host().driver().gpu('0000:1b:00.0', uuids[0]).gpu('0000:2b:00.0', uuids[1])
  readonly nvml = new NvmlStandIn()
  readonly states: StateEvent[] = []
  readonly evidence: Partial<GpuEvidence>[] = []
  readonly complaints: Error[] = []
  gpus: Gpus | undefined
  #told = 0

  open(options: Partial<GpusOptions & GpusOptions['config']> = {}): this {
    const { gpu_interval_ms = 50, gpu_evidence = false, ...more } = options
    this.gpus = openGpus({
      config: { gpu_root: this.node.root, gpu_library: this.nvml.path, gpu_interval_ms, gpu_evidence },
      clock: { now: () => ({ bootNs: process.hrtime.bigint(), wallNs: 0n }) },
      factsOf: () => ({ exe: '/usr/sbin/actor', cgroup_path: '/ops.slice', workload: 'ops.service' }),
      complain: (error) => this.complaints.push(error), hintDelayMs: 10, timeoutMs: 2000, findAgainMs: 10,
      add: (kind, values, _, who) => {
        if (kind === 'gpu_state') this.states.push({ ...values, process: who })
        else this.evidence.push(values as Partial<GpuEvidence>)
      },
      ...more,
    })
    this.gpus.start()
    return this
  }

  /** Has every reader brought something at least `rounds` times more? */
  async settled(rounds = 2): Promise<void> {
    const ended = () => [...this.gpus!.counts.readers.values()].map(({ ok, failed }) => ok + failed)
    const before = ended()
    const deadline = Date.now() + 20_000
    while (ended().some((count, reader) => count < before[reader] + rounds)) {
      if (Date.now() > deadline) throw new Error(`readings: ${before} and then ${ended()}`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  /** The events since the last call. */
  news(): StateEvent[] {
    const news = this.states.slice(this.#told)
    this.#told = this.states.length
    return news
  }

  /** What was told last of an item. */
  last(subject: string, item: string): StateEvent | undefined {
    return this.states.findLast((one) => one.subject === subject && one.item === item)
  }

  /** The probes saw this record. */
  observe(bytes: Buffer): void {
    this.gpus!.observe(sampleRead([bytes]).record, 0, bytes.readUInt16LE(8))
  }

  close(): void {
    this.gpus?.stop()
    this.node.close()
    this.nvml.close()
  }
}
