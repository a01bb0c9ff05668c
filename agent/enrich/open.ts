import { Budget } from './budget.ts'
import { Cgroups } from './cgroups.ts'
import type { Cgroup } from './cgroups.ts'
import { Enricher } from './enricher.ts'
import { LoadedFiles } from './loaded-files.ts'
import type { LoadedFilesOptions } from './loaded-files.ts'
import { processByPid } from './process-by-pid.ts'
import { KnownProcesses } from './processes.ts'
import type { Process, WorkloadSeen } from '../../proto/gen/events.ts'

export interface OpenEnricherOptions extends LoadedFilesOptions {
  /** Mount point of the cgroup v2 file system; '' when there is none. */
  cgroupMount: string
  /** Told when it is known late which workload a cgroup is. */
  seen(workload: Partial<WorkloadSeen>): void
  /** Told of every cgroup whose path is known now. */
  found(cgroup: Cgroup): void
  /** The process runs another program now; the words of its start time, low and high. */
  changed(pid: number, startLow: number, startHigh: number): void
}

/** An enricher with what it learns from; `stop` ends its timers. */
export interface OpenEnricher {
  enricher: Enricher
  processes: KnownProcesses
  /** Where modules and firmware wait for what their file is. */
  loaded: LoadedFiles
  /** Who has this pid now. */
  processOf(pid: number): Partial<Process>
  stop(): void
}

/** About 4 MiB when full. */
const processesMax = 16_384
const endedMax = 4096
const cgroupsMax = 8192
/** A look takes about 20 µs: 1% of a core. */
const looksPerSecond = 500

/** Builds the enricher and reads the cgroup tree once. */
export function openEnricher(options: OpenEnricherOptions): OpenEnricher {
  const { cgroupMount: mount, seen, found, changed } = options
  const cgroups = new Cgroups({
    mount, entriesMax: cgroupsMax, budget: new Budget(looksPerSecond),
    foundLate: (cgroup) => seen(workloadSeen(cgroup)), found,
  })
  const processes = new KnownProcesses({
    entriesMax: processesMax, endedMax, budget: new Budget(looksPerSecond),
  })
  const loaded = new LoadedFiles(options)
  cgroups.walk()
  const enricher = new Enricher({ processes, cgroups, changed, loaded })
  const { factsOf } = enricher
  const startOf = processes.startOf.bind(processes)
  return {
    enricher, processes, loaded, stop: () => cgroups.stop(),
    processOf: (pid) => processByPid(pid, { startOf, factsOf, cgroupMount: mount }),
  }
}

function workloadSeen({ id, path, workload }: Cgroup): Partial<WorkloadSeen> {
  return { cgroup_id: id, cgroup_path: path, ...workload }
}
