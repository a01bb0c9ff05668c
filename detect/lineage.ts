/**
 * Who is who: the processes of all nodes, from exec and exit events and from the process dictionary
 * of every batch. Bounded. What is in it depends on the order of events alone, not on how they were
 * cut into batches.
 */
import type { Batch } from '../proto/batch.ts'
import type { ProcessExecView, WorkloadSeenView } from '../proto/gen/events.ts'
import { CgroupTable } from './names/cgroup-table.ts'
import type { Cgroup, CgroupSnapshot } from './names/cgroup-table.ts'
import type { Origins } from './graph/origins.ts'
import type { Source } from './names/source-table.ts'

/** A process, as far as it is known. 64-bit start times are two words, low one first. */
export interface LineageProcess {
  /** Never used again for another process. Detectors key on it. */
  number: number
  /** Number of the node and boot. */
  source: number
  node_id: string
  pid: number
  startLow: number
  startHigh: number
  /** The first parent that was seen: after its end the kernel would say pid 1. */
  ppid: number
  parentStartLow: number
  parentStartHigh: number
  uid: number
  comm: string
  exe: string
  /** Arguments of the last exec, NUL between them. */
  args: string
  /** What the batches say of `exe` and `workload`, to see when it changes. */
  rowExe: string
  rowWorkload: string
  /** Row of the batch that was taken over last. */
  row: number
  cgroup: Cgroup
  /** Watermark at the exit event; 0 while it runs. */
  exitedMs: number
  /** Row of what changes with every event of it; another process has it later. */
  place: number
  /** No longer in the table. */
  forgotten: boolean
  /** Zone by the policy numbered `zonePolicy`, and the facts of the cgroup then. */
  zone: number
  zonePolicy: number
  zoneCgroup: number
  /** Cached name of who acts, and the version of the facts of the cgroup then; '' until asked. */
  subject: string
  subjectCgroup: number
  /** Connections that led to it; null: none that is known. */
  origins: Origins | null
  /** What it has from its parent is known. */
  settled: boolean
  /** Watermark when it was first asked what it has from its parent; 0 before. */
  settledMs: number
  /** One more than the row of its latest connection into a protected zone; 0 when none. */
  lastHead: number
  /** Another process that had the same pid. */
  next: LineageProcess | null
}

export interface LineageOptions {
  processesMax?: number
  /** An exited process is forgotten before a running one when its exit is so long ago. */
  exitGraceMs?: number
}

export type LineageSnapshot = {
  strings: string[]
  /** `ROW_NUMBERS` numbers for each process: `toRow` says which. */
  processes: number[]
  cgroups: CgroupSnapshot
  nextNumber: number
  evictions: number
}

/** Levels of `ancestry`, the process itself not counted. */
const ANCESTORS_MAX = 16
const ARGS_CHARS_MAX = 1024
const ROW_NUMBERS = 22
const TOUCHED = 11
/** A power of two. */
const FIRST_PLACES = 1024

export class Lineage {
  /** Processes that were forgotten to make room. */
  evictions = 0
  /** Called with every process that is forgotten. */
  onForget: (process: LineageProcess) => void = () => {}
  readonly cgroups = new CgroupTable()
  private readonly byNumber = new Map<number, LineageProcess>()
  /** Those that were asked for last, by the low bits of their numbers: the map is far away. */
  private recent = new Array<LineageProcess | null>(FIRST_PLACES).fill(null)
  /** By place: watermark at the last event. */
  private touchedMs = new Float64Array(FIRST_PLACES)
  private freePlaces: number[] = []
  /** By source, and there by pid; processes with the same pid are chained. */
  private readonly bySource = new Map<number, Map<number, LineageProcess>>()
  private readonly processesMax: number
  private readonly exitGraceMs: number
  private nextNumber = 1

  constructor(options: LineageOptions = {}) {
    this.processesMax = options.processesMax ?? 200_000
    this.exitGraceMs = options.exitGraceMs ?? 60_000
  }

  get size(): number { return this.byNumber.size }

  /** Every process, in the order in which they were first seen. */
  all(): Iterable<LineageProcess> {
    return this.byNumber.values()
  }

  /** The process with a number; null when it is forgotten, and for 0, which stands for none. */
  get(number: number): LineageProcess | null {
    if (number === 0) return null
    const at = number & (this.recent.length - 1)
    const recent = this.recent[at]
    if (recent !== null && recent.number === number) return recent
    const process = this.byNumber.get(number) ?? null
    if (process !== null) this.recent[at] = process
    return process
  }

  /** Where `get` looks first; another process, or null, when it was not asked for lately. */
  glance(number: number): LineageProcess | null {
    return this.recent[number & (this.recent.length - 1)]
  }

  /** An event of the process came. */
  touch(process: LineageProcess, nowMs: number): void {
    this.touchedMs[process.place] = nowMs
  }

  /** The process of a row of the batch's dictionary, up to date. The row must have a pid. */
  ofRow(source: Source, batch: Batch, row: number, nowMs: number): LineageProcess {
    const { processes } = batch
    const pid = processes.pid[row]
    const low = processes.start_time[2 * row]
    const high = processes.start_time[2 * row + 1]
    const known = this.find(source.number, pid, low, high)
    const process = known ?? this.add(source, batch, row, nowMs)
    this.update(process, batch, row)
    return process
  }

  /**
   * Takes over what the row says. A second time the same row changes nothing, so that the result
   * does not depend on how often it is called, and so not on where a batch was cut.
   */
  update(process: LineageProcess, batch: Batch, row: number): void {
    const { processes, strings } = batch
    process.row = row
    if (process.ppid === 0) {
      process.ppid = processes.ppid[row]
      process.parentStartLow = processes.parent_start_time[2 * row]
      process.parentStartHigh = processes.parent_start_time[2 * row + 1]
    }
    process.uid = processes.uid[row]
    process.comm = strings[processes.comm[row]] ?? ''
    const exe = strings[processes.exe[row]] ?? ''
    if (exe !== '' && exe !== process.rowExe) {
      process.rowExe = exe
      process.exe = exe
      process.zonePolicy = -1
    }
    const workload = strings[processes.workload[row]] ?? ''
    if (workload !== '' && workload !== process.rowWorkload) {
      process.rowWorkload = workload
      process.subject = ''
      process.zonePolicy = -1
    }
    const low = processes.cgroup_id[2 * row]
    const high = processes.cgroup_id[2 * row + 1]
    const path = strings[processes.cgroup_path[row]] ?? ''
    const cgroup = this.cgroups.follow(process.cgroup, process.source, low, high, path)
    if (cgroup === process.cgroup) return
    process.cgroup = cgroup
    process.zonePolicy = -1
    process.subject = ''
  }

  private add(source: Source, batch: Batch, row: number, nowMs: number): LineageProcess {
    if (this.byNumber.size >= this.processesMax) this.evict(nowMs)
    const { processes } = batch
    // What every connection asks for comes first, and so lies together.
    const process: LineageProcess = {
      number: this.nextNumber++, row: -1, forgotten: false, origins: null,
      cgroup: this.cgroups.none, zone: -1, zonePolicy: -1, zoneCgroup: 0, settled: false,
      place: -1, lastHead: 0, exe: '',
      pid: processes.pid[row],
      startLow: processes.start_time[2 * row],
      startHigh: processes.start_time[2 * row + 1],
      next: null,
      source: source.number,
      node_id: source.node_id,
      ppid: 0, parentStartLow: 0, parentStartHigh: 0,
      uid: 0, comm: '', args: '', rowExe: '', rowWorkload: '', exitedMs: 0, subject: '',
      subjectCgroup: 0, settledMs: 0,
    }
    this.insert(process)
    this.touch(process, nowMs)
    return process
  }

  private insert(process: LineageProcess): void {
    this.byNumber.set(process.number, process)
    process.place = this.freePlaces.pop() ?? this.byNumber.size - 1
    if (process.place >= this.touchedMs.length) this.grow()
    let byPid = this.bySource.get(process.source)
    if (byPid === undefined) this.bySource.set(process.source, byPid = new Map())
    process.next = byPid.get(process.pid) ?? null
    byPid.set(process.pid, process)
  }

  private grow(): void {
    const { touchedMs } = this
    const places = 2 * touchedMs.length
    this.touchedMs = new Float64Array(places)
    this.touchedMs.set(touchedMs)
    this.recent = new Array<LineageProcess | null>(places).fill(null)
  }

  /** A process by its identity; the words of its start time, low and high. */
  find(source: number, pid: number, low: number, high: number): LineageProcess | null {
    let process = this.bySource.get(source)?.get(pid) ?? null
    while (process !== null && (process.startLow !== low || process.startHigh !== high)) {
      process = process.next
    }
    return process
  }

  /** The process runs another program from here on. */
  exec(process: LineageProcess, event: ProcessExecView): void {
    const { columns, row, batch } = event
    const args = batch.strings[columns.args[row]] ?? ''
    process.args = args.slice(0, ARGS_CHARS_MAX)
    process.exitedMs = 0
    const { exe } = event
    if (exe === '' || exe === process.exe) return
    process.exe = exe
    process.zonePolicy = -1
  }

  /** What was not known of a cgroup when its first events came. */
  workloadSeen(source: Source, event: WorkloadSeenView): void {
    this.cgroups.learn(source.number, event)
  }

  /** The parent, its parent and so on, at most 16; ends where nothing more is known. */
  ancestry(process: LineageProcess): LineageProcess[] {
    const ancestors: LineageProcess[] = []
    let child = process
    while (ancestors.length < ANCESTORS_MAX) {
      const parent = this.parentOf(child)
      if (parent === null || parent === process || ancestors.includes(parent)) break
      ancestors.push(parent)
      child = parent
    }
    return ancestors
  }

  /** The first parent that was seen; null when it is not known. */
  parentOf(child: LineageProcess): LineageProcess | null {
    if (child.ppid === 0) return null
    return this.find(child.source, child.ppid, child.parentStartLow, child.parentStartHigh)
  }

  /** What the process is called where people look: pod, job, unit, or its executable. */
  workloadOf(process: LineageProcess): string {
    return process.cgroup.workload || process.rowWorkload || process.exe
  }

  /**
   * Who acts, as the subject of incidents: the workload (with its node, where its name is not good
   * for the whole cluster), or failing that the tree of processes.
   */
  subjectOf(process: LineageProcess): string {
    if (process.subject !== '' && process.subjectCgroup === process.cgroup.version) {
      return process.subject
    }
    process.subjectCgroup = process.cgroup.version
    // The name of a pod comes late, and must not make two incidents of one.
    const uid = process.cgroup.facts?.pod_uid
    const workload = uid ? `pod:${uid}` : process.cgroup.workload || process.rowWorkload
    if (/^(pod|job):/.test(workload)) process.subject = workload
    else if (workload !== '' && !workload.startsWith('/')) {
      process.subject = `${workload} on ${process.node_id}`
    } else {
      const root = this.ancestry(process).findLast(({ pid }) => pid > 2) ?? process
      process.subject = `process ${processIdentity(root)} on ${process.node_id}`
    }
    return process.subject
  }

  /** Forgets a sixteenth: exited processes first, then those that were seen least recently. */
  private evict(nowMs: number): void {
    const { touchedMs } = this
    const rank = ({ exitedMs }: LineageProcess): number => {
      return exitedMs !== 0 && nowMs - exitedMs >= this.exitGraceMs ? 0 : 1
    }
    const order = [...this.byNumber.values()].sort((a, b) =>
      rank(a) - rank(b) || touchedMs[a.place] - touchedMs[b.place] || a.number - b.number)
    const leaving = order.slice(0, Math.max(1, this.processesMax >> 4))
    for (const process of leaving) this.forget(process)
    this.evictions += leaving.length
  }

  private forget(process: LineageProcess): void {
    process.forgotten = true
    const at = process.number & (this.recent.length - 1)
    if (this.recent[at] === process) this.recent[at] = null
    this.freePlaces.push(process.place)
    this.onForget(process)
    this.byNumber.delete(process.number)
    const { source, pid, next } = process
    const byPid = this.bySource.get(source)!
    const first = byPid.get(pid)!
    if (first === process) {
      if (next !== null) byPid.set(pid, next)
      else if (byPid.size > 1) byPid.delete(pid)
      else this.bySource.delete(source)
      return
    }
    let before = first
    while (before.next !== process) before = before.next!
    before.next = process.next
  }

  snapshot(): LineageSnapshot {
    const strings: string[] = []
    const indexes = new Map<string, number>()
    const put = (text: string): number => {
      let index = indexes.get(text)
      if (index === undefined) indexes.set(text, index = strings.push(text) - 1)
      return index
    }
    const processes = [...this.byNumber.values()].flatMap((process) =>
      toRow(process, this.touchedMs[process.place], put))
    return {
      strings, processes,
      cgroups: this.cgroups.snapshot([...this.byNumber.values()].map(({ cgroup }) => cgroup)),
      nextNumber: this.nextNumber, evictions: this.evictions,
    }
  }

  /** Takes over what `snapshot` gave; this one must be empty. */
  restore(from: LineageSnapshot): void {
    const cgroups = this.cgroups.restore(from.cgroups)
    for (let at = 0; at < from.processes.length; at += ROW_NUMBERS) {
      const row = from.processes.slice(at, at + ROW_NUMBERS)
      const process = fromRow(row, from.strings, cgroups)
      this.insert(process)
      this.touch(process, row[TOUCHED])
    }
    this.nextNumber = from.nextNumber
    this.evictions = from.evictions
  }
}

/** Identity of a process in its boot, as in events: `pid:start_time`. */
export function processIdentity({ pid, startLow, startHigh }: LineageProcess): string {
  return `${pid}:${(BigInt(startHigh) << 32n) | BigInt(startLow)}`
}

function toRow(
  process: LineageProcess, touchedMs: number, put: (text: string) => number,
): number[] {
  const { number, source, pid, startLow, startHigh, ppid, parentStartLow, parentStartHigh, uid } =
    process
  const texts = [process.node_id, process.comm, process.exe, process.args, process.rowExe,
    process.rowWorkload, process.subject].map(put)
  return [number, source, pid, startLow, startHigh, ppid, parentStartLow, parentStartHigh, uid,
    process.cgroup.number, process.exitedMs, touchedMs, process.subjectCgroup,
    process.settled ? -1 : process.settledMs, process.lastHead, ...texts]
}

function fromRow(
  row: number[], strings: string[], cgroups: ReadonlyMap<number, Cgroup>,
): LineageProcess {
  const [number, source, pid, startLow, startHigh, ppid, parentStartLow, parentStartHigh, uid,
    cgroup, exitedMs, , subjectCgroup, settledMs, lastHead, ...texts] = row
  const [node_id, comm, exe, args, rowExe, rowWorkload, subject] = texts.map((i) => strings[i])
  return {
    number, row: -1, forgotten: false, origins: null, cgroup: cgroups.get(cgroup)!, zone: -1,
    zonePolicy: -1, zoneCgroup: 0, settled: settledMs < 0, place: -1, lastHead, exe, pid, startLow,
    startHigh,
    next: null, source, node_id, ppid, parentStartLow, parentStartHigh, uid, comm, args, rowExe,
    rowWorkload, exitedMs, subject, subjectCgroup, settledMs,
  }
}
