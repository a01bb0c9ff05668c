/**
 * The live feed of `vedette up`: what comes into the event log, a bounded number of lines a second,
 * so that a flood of events costs the screen and not the machine. What is left out is counted.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { EventZoner } from '../correlator/query/event-zones.ts'
import { FACT_KINDS, KnownFacts } from '../detect/names/known.ts'
import { LogReader } from '../log/cursor.ts'
import { compilePolicy } from '../policy/compile.ts'
import { learningPolicy } from '../policy/learning.ts'
import { parsePolicy } from '../policy/parse.ts'
import { decodeEnvelope, openBatch } from '../proto/batch.ts'
import { BatchCursor } from '../proto/batch-cursor.ts'
import type { Event } from '../proto/batch-cursor.ts'
import { kindInfos } from '../proto/gen/events.ts'

/** What the feed gives at a time: JSON lines of events, and how many it left out. */
export interface FeedPage {
  lines: string[]
  leftOut: number
}

const POLL_MS = 250
const LINES_PER_POLL_MAX = 25
/** Kinds that only count, in every batch or every few seconds. */
const QUIET_KINDS = ['heartbeat', 'ledger']
const quietNumbers = new Set(kindInfos.filter(({ kind }) => QUIET_KINDS.includes(kind))
  .map(({ number }) => number))
const factNumbers = new Set(kindInfos
  .filter(({ kind }) => kind === 'policy_applied' || FACT_KINDS.includes(kind))
  .map(({ number }) => number))

/** Pages of new events from `dir`, from position `next` on, until `signal` is aborted. */
export async function* liveFeed(
  dir: string, next: number, signal: AbortSignal,
): AsyncGenerator<FeedPage, void, undefined> {
  const reader = new LogReader(dir)
  const cursor = new BatchCursor()
  const known = new KnownFacts()
  let zoner = zonerOf('', known)!
  while (!signal.aborted) {
    const page: FeedPage = { lines: [], leftOut: 0 }
    for (const { position, payload } of reader.read({ from: next, onProblem: () => undefined })) {
      next = position + 1
      const envelope = decodeEnvelope(payload)
      const shown = envelope.count - countOf(quietNumbers, envelope)
      const full = page.lines.length >= LINES_PER_POLL_MAX
      // Nothing is decompressed for events that are not shown.
      if ((shown === 0 || full) && !envelope.kinds.some((kind) => factNumbers.has(kind))) {
        page.leftOut += shown
        continue
      }
      cursor.forEach(openBatch(envelope), (event) => {
        known.learn(event)
        if (event.kind === 'policy_applied') zoner = zonerOf(event.text, known) ?? zoner
        if (isQuiet(event)) return
        if (page.lines.length >= LINES_PER_POLL_MAX) page.leftOut++
        else page.lines.push(JSON.stringify(zoner.json(event)))
      })
    }
    if (page.lines.length + page.leftOut > 0) yield page
    await sleep(POLL_MS, undefined, { signal }).catch(() => undefined)
  }
}

/** Processes that ran before are told at the start, all at once. */
function isQuiet(event: Event): boolean {
  return QUIET_KINDS.includes(event.kind) || (event.kind === 'process_exec' && event.at_start)
}

function countOf(
  numbers: ReadonlySet<number>,
  { kinds, kind_counts }: { kinds: Uint8Array, kind_counts: number[] },
): number {
  return kind_counts.reduce((sum, count, i) => sum + (numbers.has(kinds[i]) ? count : 0), 0)
}

function zonerOf(text: string, known: KnownFacts): EventZoner | null {
  const { policy } = text === '' ? { policy: learningPolicy() } : parsePolicy(text)
  return policy === null ? null : new EventZoner(compilePolicy(policy), () => known)
}
