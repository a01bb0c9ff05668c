import type { Batch } from './batch.ts'
import { formatAddress } from './address.ts'
import { bigOf, numberOf } from './columns.ts'
import type { EventKind } from './gen/events.ts'

/**
 * One event of a batch, read in place: the engine moves the view over the rows, so a view must not
 * be kept. The generated classes add the fields of each kind.
 */
export abstract class EventView {
  abstract readonly kind: EventKind
  abstract columns: { rows: number; time: Uint32Array; process: Uint32Array }
  batch!: Batch
  /** Row in the columns of this kind. */
  row = 0
  /** Place in the batch. */
  index = 0

  get node_id(): string { return this.batch.envelope.node_id }
  get boot_id(): string { return this.batch.envelope.boot_id }
  /** Number of the event; unique per node and boot. */
  get seq(): number { return this.batch.envelope.first_seq + this.index }
  /** Nanoseconds since boot. */
  get time(): bigint { return bigOf(this.columns.time, this.row) }
  /** Wall clock, milliseconds since 1970, with fraction. For windows and order, not for display. */
  get time_ms(): number {
    return numberOf(this.columns.time, this.row) / 1e6 + this.batch.clockOffsetMs
  }
  /** Wall clock, nanoseconds since 1970. */
  get wall_ns(): bigint { return this.time + this.batch.envelope.clock_offset_ns }

  /** Row of the process in the batch's process dictionary. */
  get process(): number { return this.columns.process[this.row] }
  get pid(): number { return this.batch.processes.pid[this.process] }
  get ppid(): number { return this.batch.processes.ppid[this.process] }
  get uid(): number { return this.batch.processes.uid[this.process] }
  get comm(): string { return this.stringAt(this.batch.processes.comm[this.process]) }
  get exe(): string { return this.stringAt(this.batch.processes.exe[this.process]) }
  get cgroup_id(): bigint { return bigOf(this.batch.processes.cgroup_id, this.process) }
  get cgroup_path(): string { return this.stringAt(this.batch.processes.cgroup_path[this.process]) }
  get workload(): string { return this.stringAt(this.batch.processes.workload[this.process]) }
  /** Identity of the process in this boot, `pid:start_time`; empty when no process is known. */
  get process_id(): string { return this.batch.processId(this.process) }
  /** Identity of the parent process in this boot. */
  get parent_process_id(): string { return this.batch.parentProcessId(this.process) }

  protected stringAt(index: number): string { return this.batch.strings[index] ?? '' }

  protected listAt(index: number): string[] {
    const text = this.stringAt(index)
    return text === '' ? [] : text.split('\0')
  }

  protected addressAt(column: Uint8Array): string { return formatAddress(column, 16 * this.row) }
}
