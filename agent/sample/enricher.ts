// An enricher with its tables, for tests; and a real process to look at.

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { RecordBuffer } from '../../proto/columns.ts'
import type { ProcessFacts } from '../../proto/process-table.ts'
import { Budget } from '../enrich/budget.ts'
import { Cgroups } from '../enrich/cgroups.ts'
import type { Cgroup } from '../enrich/cgroups.ts'
import { Enricher } from '../enrich/enricher.ts'
import { KnownProcesses } from '../enrich/processes.ts'
import { sampleRead } from './records.ts'
import type { SampleHeader } from './records.ts'

/** An enricher over the cgroup tree at `mount`, and what it told. */
export class SampleEnricher {
  readonly late: Cgroup[] = []
  readonly changed: number[] = []
  readonly processes: KnownProcesses
  readonly cgroups: Cgroups
  readonly enricher: Enricher

  constructor(mount: string, entriesMax = 100) {
    const budget = new Budget(1000)
    this.processes = new KnownProcesses({ entriesMax, endedMax: 2, budget })
    this.cgroups = new Cgroups({
      mount, entriesMax, budget, foundLate: (cgroup) => this.late.push(cgroup),
    })
    this.enricher = new Enricher({
      processes: this.processes, cgroups: this.cgroups, changed: (pid) => this.changed.push(pid),
    })
  }

  /** Facts of the process of a record. */
  factsOf(bytes: Buffer): ProcessFacts {
    return this.enricher.factsOf(sampleRead([bytes]).record, 0)
  }

  /** Shows it a record, which it may complete. */
  observe(bytes: Buffer): RecordBuffer {
    const { record } = sampleRead([bytes])
    this.enricher.observe(record, 0, bytes.readUInt16LE(8))
    return record
  }
}

/** Starts `sleep 600 ...args`; what a record of it would say. End it. */
export function startSleep(...args: string[]): {
  child: ChildProcess, who: SampleHeader & { pid: number, startTime: bigint },
} {
  const child = spawn('/bin/sleep', ['600', ...args], { stdio: 'ignore' })
  const pid = child.pid!
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  return { child, who: { pid, startTime: BigInt(ticks) * 10_000_000n + 123_456n, comm: 'sleep' } }
}
