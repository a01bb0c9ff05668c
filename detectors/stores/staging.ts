import type { Context } from '../../detect/context.ts'
import { defineDetector } from '../../detect/detector.ts'
import type { Evidence, Severity, Story } from '../../detect/finding.ts'
import type { LineageProcess } from '../../detect/lineage.ts'
import { bytesSince } from '../../detect/stores/process-reads.ts'
import { bytesInWords, printable } from '../../detect/words.ts'
import type { StorePolicy } from '../../policy/policy.ts'
import type { EventViews } from '../../proto/gen/events.ts'
import { isOfArtifacts } from '../../stores/rule.ts'
import { actorInWords } from '../actor.ts'
import { isNamedReader, readOf, verdictOf, weighed } from './reading.ts'
import { stagingExamples } from './staging.examples.ts'
import { temporaryPlace } from './temporary-place.ts'
import { useOf } from './tools.ts'
import { readInWords } from './words.ts'

/** A process has put files into a store. */
interface Written {
  store: string
  process: number
  parent: number
  path: string
  /** Device and inode number. */
  file: string
  timeMs: number
  evidence: Evidence
}

/** Data of one store in another place, as it was told. */
interface Copy {
  /** Null while the detector is muted. */
  incident: string | null
  /** Files of it, as in `Written`. */
  files: string[]
  /** Bytes of those that were read or deleted again. */
  bytes: number
  /** Who read, and what it has written since by calls; null while that is not known. */
  reader: number
  written: number | null
}

/** Of a workload. */
interface State {
  written: Written[]
  /** By `from to`; the oldest leaves. */
  copies: Map<string, Copy>
}

/** What was read, and where it went: a store, or a path in temporary space. */
interface Staging {
  from: StorePolicy
  bytes: number
  reader: LineageProcess
  to: StorePolicy | null
  path: string
  file: string
  /** As in `Copy`. */
  written: number | null
  evidence: Evidence[]
}

type Ratio = ReturnType<typeof ratioOf>

const WRITTEN_MAX = 16
const COPIES_MAX = 32
const FILES_MAX = 16
const puts = new Set(['create', 'modify', 'rename'])
const [fires, quiet] = stagingExamples

export default defineDetector({
  id: 'STO-006',
  title: 'Data of a store is put aside: in temporary space, or in another store',
  severity: 'high',
  maturity: 'experimental',
  attack: ['T1074.001', 'T1560.001', 'T1005'],
  atlas: ['AML.T0035', 'AML.T0025'],
  blindSpots: [
    'Files outside of stores are not watched: a target in temporary space is seen only where an '
      + 'absolute path to it is in the arguments of the program, or of the shell that started it.',
    'How large a copy is: what a process passes to calls that write is told as a whole, wherever '
      + 'it goes. Not in it: mappings, clones of files, io_uring, and what is sent by send(). Of '
      + 'another store, the size is known when the copy is read or deleted again.',
    'Programs that may be servers or trainings, where the policy does not say who may write: a '
      + 'training reads data and writes checkpoints.',
    'A reader and a writer that have neither the process nor its parent in common.',
    'Less than the threshold, and parts that lie further apart than the window.',
    'A data set that a workload which the policy names as a reader copies to temporary space: jobs '
      + 'do so before they begin.',
    'Data that stays in memory, and a copy within the same store.',
  ],
  runbook: 'Find the copy (the finding names its path), and who made it. What was put aside is '
    + 'usually sent next: look at the connections of the workload, and keep the copy as evidence '
    + 'before you delete it. A copy that belongs to the work (a cache for faster loading, a '
    + 'repacking) gets its program into readers, and into writers of the other store.',
  needs: ['store_read', 'store_write'],
  settings: { bytes_min: 67_108_864, window_ms: 3_600_000 },
  key: (event, context) => {
    const { process, policy } = context
    if (process === null || policy.stores.get(event.store) === null) return null
    const isRead = event.kind === 'store_read' && event.process_written_bytes === 0
    if (isRead && readOf(context) === null) return null
    return context.subjectOf(process)
  },
  state: {
    initial: (event, context): State | null => {
      // Most readers put nothing anywhere.
      const starts = event.kind === 'store_write' || useOf(context.process!) !== null
      return starts ? { written: [], copies: new Map() } : null
    },
    keysMax: 10_000,
    idleMs: 6 * 3_600_000,
  },
  evaluate(event, state, context) {
    if (state === null) return
    if (event.kind === 'store_read') onRead(event, state, context)
    else onWrite(event, state, context)
  },
  examples: [...fires, ...quiet],
})

function onRead(event: EventViews['store_read'], state: State, context: Context): void {
  const written = event.process_written_known ? event.process_written_bytes : null
  seeWritten(event, state, written, context)
  const read = readOf(context)
  // What it wrote after its last read.
  if (read === null) return
  const { process, store: from } = read
  seeAgain(event, state, event.bytes, context)
  const bytes = bytesAround(process, from.name, event.time_ms, context)
  const staging = { from, bytes, reader: process, to: null, file: '', written }
  const use = useOf(process)
  if (use !== null && use !== 'shows') {
    const path = temporaryPlace(process, parentOf(process, context), event.path)
    if (path !== '') consider({ ...staging, path, evidence: [context.evidence] }, state, context)
  }
  for (const one of state.written) {
    const to = context.policy.stores.get(one.store)
    if (to === null || to === from || !isKin(one, process, context)) continue
    if (event.time_ms - one.timeMs > context.setting('window_ms')) continue
    consider({ ...staging, to, path: one.path, file: one.file,
      evidence: [context.evidence, one.evidence] }, state, context)
  }
}

function onWrite(event: EventViews['store_write'], state: State, context: Context): void {
  const process = context.process!
  const file = fileOf(event)
  if (event.operation === 'delete') seeAgain(event, state, event.bytes, context)
  if (!puts.has(event.operation)) return
  const { store, path, time_ms: timeMs } = event
  const { evidence } = context
  const parent = parentOf(process, context)?.number ?? 0
  const known = state.written.findIndex((one) =>
    one.store === store && one.process === process.number)
  // Of many files of one process the last one stands for all.
  if (known >= 0) state.written.splice(known, 1)
  if (state.written.length >= WRITTEN_MAX) state.written.shift()
  state.written.push({ store, process: process.number, parent, path, file, timeMs, evidence })
  const to = context.policy.stores.get(store)!
  for (const { store: name, reader: number } of context.stores.readsAround(process, 1)) {
    const [from, reader] = [context.policy.stores.get(name), context.processOf(number)]
    if (from === null || from === to || reader === null) continue
    if (reader !== process && useOf(reader) === null) continue
    const bytes = bytesAround(process, name, timeMs, context)
    consider({ from, bytes, reader, to, path, file, written: null, evidence: [evidence] }, state,
      context)
  }
}

/** Bytes that the process, and those beside it, have read of a store within the window. */
function bytesAround(
  process: LineageProcess, store: string, nowMs: number, context: Context,
): number {
  const totals = context.stores.readsAround(process, 1).find((one) => one.store === store)
  return totals === undefined ? 0 : bytesSince(totals, nowMs - context.setting('window_ms'))
}

function parentOf(process: LineageProcess, context: Context): LineageProcess | null {
  return context.ancestry(process)[0] ?? null
}

/** The same process, parent and child, or children of one parent: a pipeline of a shell. */
function isKin(written: Written, reader: LineageProcess, context: Context): boolean {
  const parent = parentOf(reader, context)
  return written.process === reader.number || written.parent === reader.number ||
    (parent !== null && parent.pid > 2 &&
      (written.process === parent.number || written.parent === parent.number))
}

function consider(staging: Staging, state: State, context: Context): void {
  const { from, to, bytes, file } = staging
  if (bytes < context.setting('bytes_min') || from.sensitivity === 'public') return
  const key = keyOf(staging)
  const known = state.copies.get(key)
  if (known !== undefined) {
    if (file !== '' && !known.files.includes(file) && known.files.length < FILES_MAX) {
      known.files.push(file)
    }
    return
  }
  const severity = severityOf(staging, context)
  if (severity === null) return
  if (state.copies.size >= COPIES_MAX) state.copies.delete([...state.copies.keys()][0])
  const incident = context.report({
    key, severity, totals: { bytes }, evidence: staging.evidence,
    stores: to === null ? [from.name] : [from.name, to.name],
    tell: () => tell(staging, context),
  })
  const { written, reader: { number: reader } } = staging
  state.copies.set(key, { incident, files: file === '' ? [] : [file], bytes: 0, reader, written })
}

/** One finding for each two places: of temporary space the folder counts. */
function keyOf({ from, to, path }: Staging): string {
  return `${from.name} ${to?.name ?? path.split('/').slice(0, 3).join('/')}`
}

/** Null where the policy, or the kind of program, makes it ordinary. */
function severityOf({ from, to, reader }: Staging, context: Context): Severity | null {
  const read = { process: reader, store: from }
  if (isNamedReader(read, context)) return null
  const verdict = verdictOf(read, context)
  if (to === null) {
    if (isOfArtifacts(from)) return weighed('high', from)
    // Jobs of readers copy data to their node before they begin.
    return verdict.allowed === true ? null : weighed('medium', from)
  }
  const facts = context.zones.factsOfProcess(context.process!)
  const { allowed } = context.policy.stores.mayWrite(to.name, facts,
    context.zoneOf(context.process))
  if (allowed === false) return weighed('high', from)
  if (useOf(reader) === null) return null
  if (allowed === null) return weighed('medium', from)
  return verdict.allowed === false ? weighed('medium', from) : null
}

/** A file of a copy is read, or deleted: that says how large it is. */
function seeAgain(
  event: EventViews['store_read' | 'store_write'], state: State, bytes: number, context: Context,
): void {
  const file = fileOf(event)
  for (const [key, copy] of state.copies) {
    if (copy.incident === null || !copy.files.includes(file)) continue
    copy.bytes += bytes
    context.amend(copy.incident, key, {
      details: { copy_bytes: copy.bytes }, evidence: [context.evidence],
    })
  }
}

/** The reader of a copy has written more since: as much as it read, or less. */
function seeWritten(
  event: EventViews['store_read'], { copies }: State, written: number | null, context: Context,
): void {
  if (written === null || written === 0) return
  const process = context.process!
  for (const [key, copy] of copies) {
    if (copy.incident === null || copy.reader !== process.number) continue
    if (key.split(' ')[0] !== event.store || written <= (copy.written ?? 0)) continue
    copy.written = written
    context.amend(copy.incident, key, {
      details: ratioOf(process, event.store, written, context) })
  }
}

/** What a process and those below it have read of a store, and it has written since by calls. */
function ratioOf(
  reader: LineageProcess, store: string, written: number | null, context: Context,
) {
  const totals = context.stores.readsAround(reader, 0).find((one) => one.store === store)
  const bytes = totals?.bytes ?? 0
  return {
    read_bytes: bytes, written_bytes: written,
    written_percent: written === null ? null : Math.round(100 * written / Math.max(1, bytes)),
  }
}

function fileOf({ device, inode }: EventViews['store_read' | 'store_write']): string {
  return `${device}:${inode}`
}

function tell({ from, to, bytes, reader, path, written }: Staging, context: Context): Story {
  const where = to === null ? `its arguments name ${printable(path)}`
    : `it wrote ${printable(path)} of the store ${printable(to.name)}`
  const writer = context.process!
  const ratio = ratioOf(reader, from.name, written, context)
  const by = to === null || writer === reader ? '' : ` by ${actorInWords(writer, context)}`
  return {
    summary: `${actorInWords(reader, context)} read ${readInWords(bytes, 0, from)}, and ` +
      `${by === '' ? where : `beside it ${where.replace('it wrote ', '')} was written${by}`}.` +
      writtenInWords(ratio),
    details: {
      process: context.describe(reader),
      writer: writer === reader ? null : context.describe(writer),
      store: from.name, sensitivity: from.sensitivity, to_store: to?.name ?? '', to_path: path,
      ...ratio,
    },
    next_steps: [
      `Look for the copy at ${path} on ${reader.node_id}, keep it as evidence, then delete it.`,
      'Look at what the workload has sent since: what is put aside is often sent next.',
    ],
  }
}

function writtenInWords({ written_bytes: bytes, written_percent: percent }: Ratio): string {
  return bytes === null ? ''
    : ` It had written ${bytesInWords(bytes)} by calls since, ${percent}% of what it read.`
}
