/** Days of training as events: what agents tell when the workloads of MLPerf Storage run. Pure. */
import type { ExampleEvent } from '../../detect/detector.ts'
import type { Process } from '../../proto/gen/events.ts'
import { llama70b, RANKS_PER_NODE, trainings } from './mlperf-storage.ts'
import type { Checkpointing, Training } from './mlperf-storage.ts'

export const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000
/** How often an agent tells what was read. */
const REPORT_MS = 5000
const RANKS = 4
const KEPT = 2

/** Where the stores are, who may read and change them, and which zones talk. */
export const policy = `version: 1
zones:
  - name: training
    exposure: protected
    match: { workloads: ["job:*"], cidrs: [10.20.0.0/24] }
  - name: storage
    exposure: protected
    match: { systemd_units: [dataset-repack.service], cidrs: [10.50.0.0/24] }
flows:
  - { from: training, to: storage, ports: [9000/tcp], reason: training reads objects }
stores:
${trainings.map(({ name, mechanism }) => `  - name: ${name}
    kind: ${mechanism === 'network' ? 'objects' : 'dataset'}
    sensitivity: confidential
    ${mechanism === 'network' ? 'endpoints: ["10.50.0.40:9000"]' : `paths: [/data/${name}]`}
    readers: { workloads: ["job:*"], systemd_units: [dataset-repack.service] }
    writers: { systemd_units: [dataset-repack.service] }
`).join('')}  - name: checkpoints
    kind: checkpoints
    sensitivity: restricted
    paths: [/data/checkpoints]
    readers: { workloads: ["job:*"] }
    writers: { workloads: ["job:*"] }
`

/** The same stores, and nothing is said of who may do what: only what is usual can judge. */
export const openPolicy = policy.replaceAll(/ {4}(?:readers|writers): .*\n/g, '')
  .replace(/zones:\n(?: .*\n)+flows:\n(?: .*\n)+/, '')

type Row = Partial<Process>

/** Writes down what happens, in any order; `take` puts it into order. */
class Diary {
  private events: ExampleEvent[] = []
  private nextPid = 1000
  private state: number
  private connections = 1

  constructor(seed: number) { this.state = seed }

  /** 0 to 1, the same every time. */
  chance(): number {
    this.state = (Math.imul(this.state, 1_664_525) + 1_013_904_223) >>> 0
    return this.state / 2 ** 32
  }

  add(event: ExampleEvent): void { this.events.push(event) }

  take(): ExampleEvent[] {
    const events = this.events.sort((a, b) => a.at_ms - b.at_ms)
    this.events = []
    return events
  }

  nextConnection(): bigint { return BigInt(this.connections++) }

  /** A process begins, as a child of another one in the same cgroup. */
  spawn(atMs: number, of: Row, exe: string, args: string[], node_id: string): Row {
    const pid = this.nextPid++
    const process: Row = {
      ...of, pid, start_time: BigInt(Math.round(atMs * 1000)), ppid: of.pid ?? 1, exe,
      parent_start_time: of.start_time ?? 1n, comm: exe.slice(exe.lastIndexOf('/') + 1).slice(0, 15),
    }
    if (args.length > 0) this.add({ kind: 'process_exec', at_ms: atMs, node_id, process, values: { exe, args } })
    return process
  }

  exit(atMs: number, process: Row, node_id: string): void {
    this.add({ kind: 'process_exit', at_ms: atMs, node_id, process, values: {} })
  }
}

interface Reader {
  process: Row
  node_id: string
  store: string
  mechanism: Training['mechanism']
  sequential: boolean
  path: string
}

interface Amount { fromMs: number; toMs: number; bytes: number; files: number; perCall: number }

/** A process reads for a while: a first report at once, one every five seconds, one at the end. */
function reads(diary: Diary, reader: Reader, { fromMs, toMs, bytes, files, perCall }: Amount): void {
  if (reader.mechanism === 'network') return receives(diary, reader, { fromMs, toMs, bytes, files, perCall })
  const { process, node_id, store, mechanism, sequential, path } = reader
  let told = 0
  let atMs = fromMs
  for (let report = 0; told < bytes; report++) {
    const last = atMs >= toMs
    // It comes in bursts: a step waits for its batch, the next ones are there already.
    const share = last ? 1 : (atMs - fromMs) / (toMs - fromMs) * (0.9 + 0.1 * diary.chance())
    const now = report === 0 ? Math.min(bytes, perCall) : Math.max(0, Math.round(bytes * share) - told)
    told += now
    diary.add({ kind: 'store_read', at_ms: atMs, node_id, process, values: {
      store, mechanism, path, bytes: now, bytes_sequential: sequential ? now : Math.round(now * 0.02),
      calls: Math.ceil(now / perCall), opens: Math.ceil(files * now / bytes),
      files_distinct: Math.max(1, Math.round(files * told / bytes)), duration_ns: report === 0 ? 0 : REPORT_MS * 1e6,
      report: report === 0 ? 'first' : last ? 'last' : 'periodic', inode: 77n, device: 8 << 20 | 1,
      fs_magic: 0x6969, store_id: 1,
    } })
    if (last) return
    atMs = Math.min(toMs, atMs + REPORT_MS)
  }
}

/** The same out of an object store: over four connections, told while they are open. */
function receives(diary: Diary, { process, node_id }: Reader, { fromMs, toMs, bytes }: Amount): void {
  for (let i = 0; i < 4; i++) {
    const values = {
      local_addr: '10.20.0.11', local_port: 40_000 + i, remote_addr: '10.50.0.40', remote_port: 9000,
      protocol: 'tcp' as const, direction: 'outgoing' as const, connection_id: diary.nextConnection(), netns: 1,
    }
    diary.add({ kind: 'connection_open', at_ms: fromMs, node_id, process, values })
    for (let atMs = fromMs + 30_000; atMs < toMs; atMs += 30_000) {
      const bytes_received = Math.round(bytes / 4 * (atMs - fromMs) / (toMs - fromMs))
      diary.add({ kind: 'connection_totals', at_ms: atMs, node_id, process, values: {
        ...values, bytes_received, bytes_sent: Math.floor(bytes_received / 4096),
        duration_ns: Math.round((atMs - fromMs) * 1e6),
      } })
    }
    diary.add({ kind: 'connection_close', at_ms: toMs, node_id, process, values: {
      ...values, bytes_received: Math.round(bytes / 4), bytes_sent: 90_000,
      duration_ns: Math.round((toMs - fromMs) * 1e6),
    } })
  }
}

/** Gradients go around between the nodes of the job, beside all that is read. */
function exchange(
  diary: Diary, process: Row, node_id: string, fromMs: number, toMs: number, bytes: number,
): void {
  const values = {
    local_addr: '10.20.0.11', local_port: 41_000, remote_addr: '10.20.0.12', remote_port: 29_500, netns: 1,
    protocol: 'tcp' as const, direction: 'outgoing' as const, connection_id: diary.nextConnection(),
  }
  diary.add({ kind: 'connection_open', at_ms: fromMs, node_id, process, values })
  diary.add({ kind: 'connection_close', at_ms: toMs, node_id, process, values: {
    ...values, bytes_sent: bytes, bytes_received: bytes, duration_ns: Math.round((toMs - fromMs) * 1e6),
  } })
}

/** A file is written under another name and put in its place; one that is too old leaves. */
function keeps(diary: Diary, process: Row, node_id: string, atMs: number, path: string, old: string): void {
  type Operation = 'create' | 'rename' | 'delete' | 'overwrite'
  const wrote = (at: number, operation: Operation, of: string, old_path = ''): void =>
    diary.add({ kind: 'store_write', at_ms: at, node_id, process, values: {
      store: 'checkpoints', operation, path: of, old_path, count: 1, bytes: /delete|over/.test(operation) ? 1e9 : 0,
      inode: 88n, device: 8 << 20 | 1, fs_magic: 0x6969, store_id: 2, report: 'first',
    } })
  wrote(atMs, 'create', `${path}.tmp`)
  wrote(atMs + 2000, 'rename', path, `${path}.tmp`)
  // Which one is the last stands in a file that is written over: told once of a process.
  if (old !== '') wrote(atMs + 2100, 'delete', old)
  else wrote(atMs + 2100, 'overwrite', `${path.slice(0, path.lastIndexOf('/'))}/latest`)
}

const PYTHON = '/opt/conda/bin/python3.11'

/** A job of a Slurm cluster, which runs a program with the ranks of one node. */
function ranksOf(
  diary: Diary, name: string, uid: number, job: number, atMs: number, ranks: number,
): [string, Row[]] {
  const node_id = 'gpu-1'
  const step: Row = {
    uid, workload: `job:${job}`, cgroup_path: `/system.slice/slurmstepd.scope/job_${job}/step_0`, pid: 1,
  }
  const shell = ['bash', '/var/spool/slurm/script']
  const launcher = diary.spawn(atMs, { ...step, pid: undefined }, '/usr/bin/bash', shell, node_id)
  const argsOf = (rank: number) => ['python', `/home/u${uid}/${name}.py`, `--rank=${rank}`]
  return [node_id, Array.from({ length: ranks }, (_, rank) =>
    diary.spawn(atMs + 100 + rank, launcher, PYTHON, argsOf(rank), node_id))]
}

interface Run { job: number; uid: number; startMs: number; resume: boolean; epochs: number }

/** A training from its beginning to its end; when that is. */
function train(diary: Diary, training: Training, { job, uid, startMs, resume, epochs }: Run): number {
  const { name, readers, readThreads, stepSeconds, stepsPerEpoch, batch, sampleBytes, samplesPerFile } = training
  const [node_id, ranks] = ranksOf(diary, name, uid, job, startMs, RANKS)
  let atMs = startMs + 5000
  const epochMs = stepsPerEpoch * stepSeconds * 1000
  const reader = (process: Row): Reader => ({
    process, node_id, store: name, mechanism: training.mechanism, sequential: training.wholeFiles,
    path: `/data/${name}/part-0001`,
  })
  for (const rank of ranks) {
    if (resume && training.checkpointBytes > 0) loads(diary, rank, node_id, atMs, training.checkpointBytes, 1)
    if (training.mechanism === 'network') continue
    diary.add({ kind: 'store_listing', at_ms: atMs + 10, node_id, process: rank, values: {
      store: name, path: `/data/${name}`, calls: 60, directories: 1, inode: 5n, report: 'first', store_id: 1,
    } })
  }
  exchange(diary, ranks[0], node_id, atMs, atMs + epochs * (epochMs + 8000), 40e9)
  for (let epoch = 0; epoch < epochs; epoch++) {
    for (const rank of ranks) {
      const workers = readers === 'threads' ? [rank]
        : Array.from({ length: readThreads }, () => diary.spawn(atMs, rank, PYTHON, [], node_id))
      const samples = stepsPerEpoch * batch / workers.length
      for (const process of workers) {
        reads(diary, reader(process), {
          fromMs: atMs + 20 * diary.chance(), toMs: atMs + epochMs, bytes: Math.round(samples * sampleBytes),
          files: Math.max(1, Math.min(500, Math.ceil(samples / samplesPerFile))), perCall: 262_144,
        })
        if (process !== rank) diary.exit(atMs + epochMs + 10, process, node_id)
      }
    }
    atMs += epochMs + 3000
    if (training.checkpointBytes > 0 && (epoch + 1) % training.checkpointEpochs === 0) {
      const path = (of: number) => `/data/checkpoints/${name}/${job}-${of}.pt`
      const old = epoch + 1 - KEPT * training.checkpointEpochs
      keeps(diary, ranks[0], node_id, atMs, path(epoch + 1), old > 0 ? path(old) : '')
    }
    atMs += 5000
  }
  for (const rank of ranks) diary.exit(atMs, rank, node_id)
  return atMs
}

/** A rank takes up what was kept: all of it, at once. */
function loads(diary: Diary, process: Row, node_id: string, atMs: number, bytes: number, files: number): void {
  reads(diary, {
    process, node_id, store: 'checkpoints', mechanism: 'read', sequential: true, path: '/data/checkpoints/last.pt',
  }, { fromMs: atMs, toMs: atMs + 4000, bytes, files, perCall: 16_777_216 })
}

/** A large language model keeps its state, and after a failure takes it up again. */
function checkpoint(diary: Diary, of: Checkpointing, { job, uid, startMs }: Run, failures: number): void {
  const [node_id, ranks] = ranksOf(diary, of.name, uid, job, startMs, RANKS_PER_NODE)
  const bytes = Math.round(of.bytes / of.processes)
  let atMs = startMs + 5000
  for (let i = 0; i < failures; i++) {
    for (const rank of ranks) loads(diary, rank, node_id, atMs, bytes, 2)
    atMs += 60_000
  }
  for (let i = 0; i < of.writes; i++) {
    for (const [rank, process] of ranks.entries()) {
      for (const [part, what] of ['model', 'optimizer'].entries()) {
        const path = (step: number) => `/data/checkpoints/${of.name}/${job}/${step}/${what}-${rank}.pt`
        keeps(diary, process, node_id, atMs + 50 * rank + 10 * part, path(i), i >= KEPT ? path(i - KEPT) : '')
      }
    }
    atMs += of.secondsBetween * 1000
  }
  for (const rank of ranks) diary.exit(atMs, rank, node_id)
}

/** Once a week a data set is packed anew: all of it is read, and its files are replaced. */
function repack(diary: Diary, training: Training, startMs: number): void {
  const node_id = 'storage-1'
  const process = diary.spawn(startMs, {
    uid: 900, workload: 'dataset-repack.service', cgroup_path: '/system.slice/dataset-repack.service',
  }, PYTHON, ['python', '/opt/pipeline/repack.py', training.name], node_id)
  const samples = training.stepsPerEpoch * training.batch * RANKS
  const files = Math.max(1, Math.ceil(samples / training.samplesPerFile))
  reads(diary, { process, node_id, store: training.name, mechanism: 'read', sequential: true, path: '/data/x' }, {
    fromMs: startMs + 1000, toMs: startMs + 600_000, bytes: samples * training.sampleBytes, files, perCall: 1_048_576,
  })
  for (const [at, operation] of [[1100, 'create'], [600_100, 'rename'], [600_200, 'delete']] as const) {
    diary.add({ kind: 'store_write', at_ms: startMs + at, node_id, process, values: {
      store: training.name, operation, path: `/data/${training.name}/part`, count: Math.min(files, 200), bytes: 1e9,
      inode: 88n, device: 8 << 20 | 1, fs_magic: 0x6969, store_id: 1, report: 'first',
    } })
  }
  diary.exit(startMs + 601_000, process, node_id)
}

/** Events of each day, in order. */
export function* trainingDays(days: number, seed = 1): Iterable<ExampleEvent[]> {
  const diary = new Diary(seed)
  let job = 100
  for (let day = 0; day < days; day++) {
    const at = (hour: number) => day * DAY_MS + hour * HOUR_MS
    for (const [i, training] of trainings.entries()) {
      const run = { uid: 2000 + i, resume: day > 0, epochs: training.epochs }
      const endMs = train(diary, training, { ...run, job: job++, startMs: at(1 + 2 * i) + 600_000 * diary.chance() })
      // Some days are busier: a run that failed at once and is tried again, a second one with another shuffle.
      if (day % 3 === 2) train(diary, training, { ...run, job: job++, startMs: endMs + 60_000, epochs: 1 })
      if (day % 5 === 4) train(diary, training, { ...run, job: job++, startMs: endMs + 900_000 })
      if (day % 7 === i && training.mechanism !== 'network') repack(diary, training, at(18 + i))
    }
    const failures = day % 4 === 0 ? llama70b.reads : 1
    checkpoint(diary, llama70b, { job: job++, uid: 3000, startMs: at(15), resume: true, epochs: 0 }, failures)
    yield diary.take()
  }
}
