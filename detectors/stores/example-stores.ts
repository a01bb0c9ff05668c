/** Stores, and who reads them, in examples. */
import type { ExampleEvent } from '../../detect/detector.ts'
import type { Process, StoreRead, StoreWrite } from '../../proto/gen/events.ts'

/** A data set for training, weights for inference, and who may read them. */
export const storePolicy = `version: 1
zones:
  - name: training
    exposure: protected
    match: { slurm_partitions: [train] }
  - name: inference
    exposure: public
    match: { workloads: ["pod:serve/*"] }
stores:
  - name: imagenet
    kind: dataset
    sensitivity: confidential
    paths: [/data/imagenet]
    readers: { workloads: ["job:*"] }
    expected: { files: 1000 }
  - name: weights
    kind: weights
    sensitivity: restricted
    paths: [/data/weights]
    readers: { zones: [inference], systemd_units: [backup.service] }
  - name: scratch
    kind: dataset
    sensitivity: internal
    paths: [/data/scratch]
  - name: vectors
    kind: database
    sensitivity: confidential
    endpoints: ["10.50.0.9:6333"]
    readers: { zones: [inference] }
`
/** The same stores, and nothing is said of readers, zones, and what is expected. */
export const openPolicy = storePolicy.replace(/zones:\n(?: .*\n)+stores:/, 'stores:')
  .replaceAll(/ {4}(?:readers|expected): .*\n/g, '')

const MIB = 1_048_576

/** Reads files of a store: bytes since the last report, files so far. */
export function read(
  at_ms: number, process: Partial<Process>, store: string, mib: number, files: number,
  values: Partial<StoreRead> = {},
): ExampleEvent {
  return { kind: 'store_read', at_ms, process, values: {
    store, bytes: Math.round(mib * MIB), calls: Math.ceil(mib), opens: files,
    files_distinct: files, mechanism: 'read',
    report: 'first', path: `/data/${store}/part-0001`, inode: 7n, device: 8 << 20 | 1, store_id: 1,
    duration_ns: 4_000_000_000, fs_magic: 0xef53, ...values,
  } }
}

/** Closes a connection to the database, which has brought so much. */
export function received(at_ms: number, process: Partial<Process>, mib: number): ExampleEvent {
  return { kind: 'connection_close', at_ms, process, values: {
    local_addr: '10.30.0.7', local_port: 40_000 + (at_ms % 1000), remote_addr: '10.50.0.9',
    remote_port: 6333, protocol: 'tcp', direction: 'outgoing', bytes_sent: 4000,
    bytes_received: Math.round(mib * MIB), duration_ns: 2_000_000_000,
    connection_id: BigInt(at_ms + 1),
  } }
}

/** Changes a file of a store. */
export function write(
  at_ms: number, process: Partial<Process>, store: string, values: Partial<StoreWrite> = {},
): ExampleEvent {
  return { kind: 'store_write', at_ms, process, values: {
    store, operation: 'create', count: 1, path: `/data/${store}/new`, inode: 99n,
    device: 8 << 20 | 1, store_id: 2, report: 'first', ...values,
  } }
}

/** The process runs a program; its arguments say what with, parted by blanks. */
export function exec(
  at_ms: number, process: Partial<Process>, args: string | string[],
): ExampleEvent {
  return { kind: 'process_exec', at_ms, process, values: {
    exe: process.exe ?? '', args: typeof args === 'string' ? args.split(' ') : args,
  } }
}

/** A process that another one has started. */
export function childOf(
  parent: Partial<Process>, pid: number, exe: string,
): Partial<Process> {
  return { ...parent, pid, start_time: BigInt(pid), exe, ppid: parent.pid,
    parent_start_time: parent.start_time, comm: exe.slice(exe.lastIndexOf('/') + 1).slice(0, 15) }
}
