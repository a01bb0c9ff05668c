// The kernel half and the first stages of an agent, in this process, for the benches that look at
// them alone: probes, source, decode, columns.

import { setTimeout as sleep } from 'node:timers/promises'
import { Decoder } from '../agent/decode.ts'
import { openProbes } from '../agent/probes.ts'
import type { ProbeOptions } from '../agent/probes.ts'
import type { Probe } from '../agent/probes/table.ts'
import { Source } from '../agent/source.ts'
import type { KernelObject } from '../native/index.ts'
import { BatchBuilder } from '../proto/batch-builder.ts'
import type { ScopeCgroup } from '../test/probes/scope-cgroup.ts'

/** As the agent's defaults. */
const ringBytes = 16 * 1024 * 1024
const eventsPerBatchMax = 8192

export interface Counts { produced: number, lost: number }

/** Records of one cgroup become columns; `full` sees each full batch before it is forgotten. */
export class BenchWatch {
  readonly object: KernelObject
  readonly builder = new BatchBuilder({
    eventsMax: eventsPerBatchMax,
    factsOf: () => ({ exe: '/usr/bin/worker', cgroup_path: '/bench.slice', workload: 'bench' }),
  })
  full: (builder: BatchBuilder) => void = (builder) => builder.clear()
  readonly #decoder: Decoder
  readonly #source: Source

  /** `more`: other settings; `table`: other probes. Datagrams are left out unless asked for. */
  constructor(
    cgroup: ScopeCgroup, more: Partial<ProbeOptions> = {}, table?: readonly Probe[],
  ) {
    const { object, states } = openProbes({
      ring_bytes: ringBytes, sockets_max: 65_536,
      scope_cgroup_id: cgroup.id, scope_cgroup_level: cgroup.level,
      // At work, and never reached: what each event pays for them.
      cgroup_quota_per_s: 1e9, connection_repeats_per_s: 1e9, ...more,
    }, undefined, table)
    if (!object) throw new Error(`no probe could be loaded: ${states[0].reason}`)
    this.object = object
    const { builder } = this
    this.#decoder = new Decoder({
      takeRecord: (record, at) => {
        builder.appendRecord(record, at)
        if (builder.full) this.full(builder)
      },
    })
    this.#source = new Source({
      kernel: object, ring_bytes: ringBytes, iterators: [],
      consume: (records, bytes) => this.#decoder.decode(records, bytes),
      failed: (program, { operation, code }) => {
        throw new Error(`${program}: ${operation} failed: ${code}`)
      },
    })
    this.#source.start()
  }

  /** Records that became columns. */
  get records(): number { return this.#decoder.records }

  /** Of all kinds, by the kernel's own counters. */
  counts(): Counts {
    const sum = { produced: 0, lost: 0 }
    for (const { produced, lost } of this.object.counters()) {
      sum.produced += produced
      sum.lost += lost
    }
    return sum
  }

  /** Waits until the ring is empty. */
  async drained(): Promise<void> {
    while (this.object.ringPending() > 0) await sleep(5)
  }

  close(): void {
    this.#source.stop()
    this.object.close()
  }
}
