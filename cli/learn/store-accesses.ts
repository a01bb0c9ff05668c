/**
 * Who read and changed stores in a range, as detection sees it: with all that is known of
 * processes, over files and over connections. The detectors of stores run beside: what they tell of
 * is no habit to learn.
 */
import { detectors } from '../../detectors/index.ts'
import { programOf } from '../../detectors/actor.ts'
import { isByHand, isInterpreter } from '../../detectors/programs.ts'
import { useOf } from '../../detectors/stores/tools.ts'
import type { Context } from '../../detect/context.ts'
import { defineDetector } from '../../detect/detector.ts'
import type { Detector } from '../../detect/detector.ts'
import type { Finding } from '../../detect/finding.ts'
import type { LineageProcess } from '../../detect/lineage.ts'
import { className, classOf } from '../../detect/names/workload-class.ts'
import type { CompiledPolicy } from '../../policy/compile.ts'
import { dayOf } from '../../policy/learn/stores/access.ts'
import type { Access, EventName } from '../../policy/learn/stores/access.ts'
import type { EventViews } from '../../proto/gen/events.ts'
import { Listening } from './listening.ts'

type AccessEvent = EventViews['store_read' | 'store_write' | 'connection_close'
  | 'connection_repeat' | 'connection_totals']

/** Programs of workloads that are told apart. */
const ACCESSES_MAX = 20_000
/** They say only that somebody is new or not in the policy: that is what it is learned for. */
const SAY_NEW = new Set(['STO-001', 'STO-004'])

const SMALL_TOOLS = new Set(['ls', 'find', 'du', 'rm', 'rmdir', 'unlink', 'shred', 'mkdir', 'touch',
  'truncate', 'chmod', 'chown', 'chgrp', 'ln', 'stat', 'file', 'wc', 'sha256sum', 'md5sum', 'sum'])

export interface AccessOptions {
  /** What is outside of it is not counted, wall clock milliseconds. */
  fromMs: number
  toMs: number
  /** Id of the incident that an event is part of, '' for none. */
  incidentOf?: (event: EventName) => string
  accessesMax?: number
}

/** Collects them; its `detectors` are for one engine. */
export class StoreAccesses {
  /** Reports beyond `accessesMax`, and of processes that are not known. */
  unlisted = 0
  /** Findings about stores in the range, by detector; low ones left out. */
  readonly findings = new Map<string, number>()
  readonly #accesses = new Map<string, Access>()
  /** By subject and store, for what a detector tells later. */
  readonly #bySubject = new Map<string, Access[]>()
  readonly #options: AccessOptions

  constructor(options: AccessOptions) {
    this.#options = options
  }

  get detectors(): Detector[] {
    const listening = new Listening((finding, context, id) => this.#suspect(finding, context, id))
    return [this.observer(), ...listening.to(detectors.filter(({ id }) => id.startsWith('STO-')))]
  }

  /** What was seen, in an order that the log alone decides. */
  accesses(): Access[] {
    return [...this.byProgram().values()]
  }

  /** The same by the store, what was done, the workload and the program. */
  byProgram(): Map<string, Access> {
    return new Map([...this.#accesses].sort(([a], [b]) => a < b ? -1 : 1))
  }

  /** Sees who does what, and reports nothing. */
  observer(): Detector {
    return defineDetector({
      id: 'LEARN-001', title: 'learns', severity: 'low', maturity: 'stable', attack: [], atlas: [],
      blindSpots: [], runbook: '', settings: {}, examples: [],
      needs: ['store_read', 'store_write', 'connection_close', 'connection_repeat',
        'connection_totals'],
      state: { initial: () => null, keysMax: 1, idleMs: 1 },
      key: () => 'all',
      evaluate: (event, _, context) => this.#take(event, context),
    })
  }

  #take(event: AccessEvent, context: Context): void {
    const { process, watermarkMs } = context
    const { fromMs, toMs } = this.#options
    const timeMs = event.time_ms
    if (timeMs < fromMs || timeMs > toMs) return
    const write = event.kind === 'store_write'
    const reading = context.stores.current
    const store = write ? event.store : reading?.store ?? ''
    if (store === '' || process === null || watermarkMs < fromMs) return
    // Whoever only opened it has read nothing.
    if (!write && reading!.bytes === 0) return
    const access = this.#accessOf(process, store, write ? 'write' : 'read', context)
    if (access === null) return
    const bytes = write ? 0 : reading!.bytes
    access.reports++
    access.bytes += bytes
    access.changes += write ? event.count : 0
    access.files = Math.max(access.files, write ? 0 : reading!.files)
    access.days.set(dayOf(timeMs), (access.days.get(dayOf(timeMs)) ?? 0) + bytes)
    if (timeMs < access.first_ms) {
      access.first_ms = timeMs
      access.example = context.evidence
    }
    access.last_ms = Math.max(access.last_ms, timeMs)
    const incident = this.#options.incidentOf?.(context.evidence) ?? ''
    if (incident !== '') suspect(access, `incident ${incident}`)
  }

  #accessOf(
    process: LineageProcess, store: string, does: Access['does'], context: Context,
  ): Access | null {
    const subject = context.subjectOf(process)
    const program = process.exe || process.comm
    const key = JSON.stringify([store, does, subject, program, process.node_id])
    const zone = context.zoneOf(process)
    const facts = { ...context.zones.factsOfProcess(process) }
    const told = {
      // Facts come late: the last ones count.
      facts, zone: zone < 0 ? '' : context.zoneName(zone),
      workload: context.workloadOf(process), workload_class: className(classOf(process)),
      allowed: allowedBy(context.policy, store, does, facts, zone),
    }
    const known = this.#accesses.get(key)
    if (known !== undefined) return Object.assign(known, told)
    if (this.#accesses.size >= (this.#options.accessesMax ?? ACCESSES_MAX)) {
      this.unlisted++
      return null
    }
    const access: Access = {
      ...told, store, does, program, node_id: process.node_id,
      program_kind: isByHand(process) || useOf(process) !== null || isSmallTool(process) ? 'by_hand'
        : isInterpreter(process) ? 'interpreter' : 'own',
      reports: 0, bytes: 0, changes: 0, files: 0, days: new Map(), first_ms: Infinity,
      last_ms: -Infinity, example: context.evidence, suspected: [],
    }
    this.#accesses.set(key, access)
    const group = `${subject}\n${store}`
    this.#bySubject.set(group, [...this.#bySubject.get(group) ?? [], access])
    return access
  }

  /** A detector tells of somebody: by its program where that is known, else of all it did. */
  #suspect(finding: Finding, context: Context, id: string): void {
    const { severity, subject, stores = [] } = finding
    const timeMs = finding.wallNs === undefined ? context.watermarkMs
      : Number(finding.wallNs / 1_000_000n)
    if (severity === 'low' || timeMs < this.#options.fromMs || timeMs > this.#options.toMs) return
    this.findings.set(id, (this.findings.get(id) ?? 0) + 1)
    if (SAY_NEW.has(id)) return
    const { process } = context
    const who = subject ?? (process === null ? '' : context.subjectOf(process))
    const program = process === null ? '' : process.exe || process.comm
    for (const store of stores) {
      for (const access of this.#bySubject.get(`${who}\n${store}`) ?? []) {
        if (program === '' || access.program === program) suspect(access, id)
      }
    }
  }
}

/** Besides what reads and sends files: what people tidy up with. */
function isSmallTool({ exe, comm }: LineageProcess): boolean {
  return SMALL_TOOLS.has(exe === '' ? comm : programOf(exe))
}

function suspect(access: Access, what: string): void {
  if (!access.suspected.includes(what)) access.suspected.push(what)
}

function allowedBy(
  { stores }: CompiledPolicy, store: string, does: Access['does'],
  facts: Access['facts'], zone: number,
): boolean | null {
  return does === 'read' ? stores.mayRead(store, facts, zone).allowed
    : stores.mayWrite(store, facts, zone).allowed
}
