/**
 * Invariant 1 over a log: what every agent says it stored is there, kind by kind, and no number is
 * missing. Pure; reads each batch once, in log order.
 *
 * A ledger event says how many events of a kind the agent had stored when it was made. Events of
 * its own batch before it may be counted in or not, so the true number lies between the events of
 * the run before that batch and those before the ledger itself. What a node stored and could never
 * deliver leaves a hole in its numbers, and a gap event of stage "uplink" that must say so.
 */
import { decodeBatch } from '../../proto/batch.ts'
import type { Batch, BatchEnvelope } from '../../proto/batch.ts'
import { BatchCursor } from '../../proto/batch-cursor.ts'
import type { Event } from '../../proto/batch-cursor.ts'
import { messageOf } from '../errors.ts'

/** Numbers that a node never sent and that no fresh spool explains. */
export interface SequenceHole {
  node_id: string
  boot_id: string
  /** First and last missing number. */
  from_seq: number
  to_seq: number
  /** Batch of the log before which they are missing. */
  position: number
}

/** An account that does not add up, or a batch that cannot be read. */
export interface ConservationProblem {
  node_id: string
  boot_id: string
  event_kind: string
  position: number
  what: string
}

/** Keys as in the JSON of `vedette verify`. */
export interface Conservation {
  ok: boolean
  batches: number
  events: number
  ledgers: number
  problems: ConservationProblem[]
  holes: SequenceHole[]
  /** Numbers that are missing, and of how many of them no gap event tells. */
  events_missing: number
  events_untold: number
  /** Problems and holes beyond those that are listed. */
  left_out: number
}

const LISTED_MAX = 1000
/** Runs of agents that are looked at; a log of the largest size holds a fraction of it. */
const RUNS_MAX = 100_000

interface Run {
  firstSeq: number
  /** The log holds the run from its first event on. */
  whole: boolean
  counts: Map<string, number>
  /** Numbers that are missing in it. */
  missing: number
  /** Per kind, for a run whose beginning has left the log: what the first ledger had before. */
  bases: Map<string, { low: number, high: number }>
}

interface Boot { lastSeq: number; run: Run; missing: number; told: number }

/** Checks a log. `frames` in log order; a log whose beginning has left is fine. */
export function checkConservation(
  frames: Iterable<{ position: number, payload: Uint8Array }>,
): Conservation {
  const check = new Check()
  for (const { position, payload } of frames) check.add(position, payload)
  return check.result()
}

class Check {
  readonly #found: Omit<Conservation, 'ok'> = {
    batches: 0, events: 0, ledgers: 0, problems: [], holes: [], left_out: 0, events_missing: 0,
    events_untold: 0,
  }
  readonly #boots = new Map<string, Boot>()
  readonly #cursor = new BatchCursor()
  #first = 0

  add(position: number, payload: Uint8Array): void {
    this.#first ||= position
    let batch: Batch
    try {
      batch = decodeBatch(payload)
    } catch (error) {
      this.#problem({ node_id: '', boot_id: '', event_kind: '', position, what: messageOf(error) })
      return
    }
    const { envelope } = batch
    this.#found.batches++
    this.#found.events += envelope.count
    const boot = this.#bootOf(envelope)
    const starts = startOfRun(this.#cursor, batch)
    this.#checkSequence(boot, envelope, position, starts === envelope.first_seq)
    // The number of events of each kind before this batch.
    let before = new Map(boot.run.counts)
    this.#cursor.forEach(batch, (event) => {
      if (event.seq === starts) {
        boot.run = newRun(starts, true)
        before = new Map()
      }
      if (event.kind === 'gap' && event.stage === 'uplink') boot.told += event.count
      if (event.kind === 'ledger') this.#checkLedger(boot.run, before, event, position)
      boot.run.counts.set(event.kind, (boot.run.counts.get(event.kind) ?? 0) + 1)
    })
    boot.lastSeq = Math.max(boot.lastSeq, envelope.first_seq + envelope.count - 1)
  }

  result(): Conservation {
    const found = this.#found
    for (const { missing, told } of this.#boots.values()) {
      found.events_missing += missing
      found.events_untold += Math.max(0, missing - told)
    }
    return { ok: found.problems.length === 0 && found.events_untold === 0, ...found }
  }

  #bootOf(envelope: BatchEnvelope): Boot {
    const key = `${envelope.node_id}\0${envelope.boot_id}`
    const known = this.#boots.get(key)
    if (known !== undefined) return known
    if (this.#boots.size >= RUNS_MAX) this.#boots.delete(this.#boots.keys().next().value!)
    const { first_seq } = envelope
    const complete = first_seq === 1 || this.#first === 1
    // Where older batches may have left the log, nothing is missing before the first one seen.
    const lastSeq = complete ? 0 : first_seq - 1
    const boot = { lastSeq, run: newRun(first_seq, first_seq === 1), missing: 0, told: 0 }
    this.#boots.set(key, boot)
    return boot
  }

  #checkSequence(boot: Boot, envelope: BatchEnvelope, position: number, explained: boolean): void {
    const { node_id, boot_id, first_seq } = envelope
    if (first_seq <= boot.lastSeq) {
      const what = `events ${first_seq} to ${boot.lastSeq} are there twice`
      this.#problem({ node_id, boot_id, event_kind: '', position, what })
    } else if (first_seq > boot.lastSeq + 1 && !explained) {
      const missing = first_seq - boot.lastSeq - 1
      boot.missing += missing
      boot.run.missing += missing
      this.#list(this.#found.holes, {
        node_id, boot_id, from_seq: boot.lastSeq + 1, to_seq: first_seq - 1, position,
      })
    }
  }

  #checkLedger(
    run: Run, before: Map<string, number>, ledger: Extract<Event, { kind: 'ledger' }>,
    position: number,
  ): void {
    this.#found.ledgers++
    const { event_kind, stored, produced, lost, malformed, dropped, node_id, boot_id } = ledger
    const problem = (what: string) =>
      this.#problem({ node_id, boot_id, event_kind, position, what })
    const accounted = lost + malformed + dropped + stored
    if (accounted > produced) {
      problem(`${accounted} events are accounted for (${lost} lost, ${malformed} malformed, `
        + `${dropped} dropped, ${stored} stored), but only ${produced} were produced`)
    }
    const low = before.get(event_kind) ?? 0
    // Of which kinds the missing ones were is not known.
    const high = (run.counts.get(event_kind) ?? 0) + run.missing
    if (!run.whole || ledger.first_seq !== run.firstSeq) {
      const base = run.bases.get(event_kind)
      // The first ledger tells what was before; from then on the differences must fit.
      if (base === undefined) run.bases.set(event_kind, { low: stored - high, high: stored - low })
      else if (stored > high + base.high || stored < low + base.low) {
        problem(differs(stored, low + base.low, high + base.high))
      }
    } else if (stored < low || stored > high) {
      problem(differs(stored, low, high))
    }
  }

  #problem(problem: ConservationProblem): void {
    this.#list(this.#found.problems, problem)
  }

  #list<T>(list: T[], one: T): void {
    if (list.length < LISTED_MAX) list.push(one)
    else this.#found.left_out++
  }
}

function newRun(firstSeq: number, whole: boolean): Run {
  return { firstSeq, whole, counts: new Map(), missing: 0, bases: new Map() }
}

function differs(stored: number, low: number, high: number): string {
  const there = low === high ? `${low}` : `${low} to ${high}`
  return `the agent stored ${stored} events, the log holds ${there}`
}

/**
 * Number of the first event of a run that begins in this batch; 0 when none does. A batch of
 * another node's log that holds two runs shows the last one.
 */
export function startOfRun(cursor: BatchCursor, batch: Batch): number {
  if (batch.columns.agent_start === undefined) return 0
  let start = 0
  cursor.forEach(batch, (event) => {
    if (event.kind === 'agent_start') start = event.first_seq
  })
  return start
}
