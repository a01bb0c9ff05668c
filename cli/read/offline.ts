/** Reads a data folder without a correlator, also while one writes to it. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { EventZoner } from '../../correlator/query/event-zones.ts'
import { FACT_KINDS, KnownFacts } from '../../detect/names/known.ts'
import { LogReader } from '../../log/cursor.ts'
import type { Entry } from '../../log/cursor.ts'
import type { LogProblem } from '../../log/errors.ts'
import { compilePolicy } from '../../policy/compile.ts'
import { learningPolicy } from '../../policy/learning.ts'
import { parsePolicy } from '../../policy/parse.ts'
import { decodeEnvelope, openBatch } from '../../proto/batch.ts'
import type { BatchEnvelope } from '../../proto/batch.ts'
import { BatchCursor } from '../../proto/batch-cursor.ts'
import { kindInfos } from '../../proto/gen/events.ts'
import { CliError } from '../errors.ts'
import { say } from '../output.ts'

/** Which events; times in milliseconds since 1970, both ends included. Empty lists: all. */
export interface EventFilter {
  fromMs: number
  toMs: number
  kinds: readonly string[]
  nodes: readonly string[]
  /** Most events; 0 for no limit. */
  limit: number
}

const POLL_MS = 200

/** Opens the log `name` of a data folder for reading. Throws CliError CLI_NO_DATA or LogError. */
export function openReader(data: string, name: 'log' | 'incidents' | 'spool'): LogReader {
  const dir = join(data, name)
  if (!isThere(data)) throw new CliError('CLI_NO_DATA', `there is no folder ${data}`)
  if (!isThere(dir)) throw new CliError('CLI_NO_DATA', `${data} holds no ${name}/`)
  return new LogReader(dir)
}

/** Throws CliError CLI_UNREADABLE when it cannot be known. */
export function isThere(path: string): boolean {
  try {
    statSync(path)
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return false
    throw new CliError('CLI_UNREADABLE', `${path} may not be read (${code})`, error)
  }
}

/** Frames of a log; damage is reported on stderr and reading goes on behind it. */
export function* frames(reader: LogReader, from = 0): Generator<Entry, void, undefined> {
  yield* reader.read({ from, onProblem: reportProblem })
}

/** Says on stderr what is damaged. */
export function reportProblem({ segment, offset, what, action }: LogProblem): void {
  say(`vedette: ${segment} at byte ${offset}: ${what}. ${action}`)
}

/**
 * Events of a data folder as JSON with zones, one list per batch. Zones are by the policy that the
 * log shows to be in force at the place of the event.
 *
 * @param follow until it is aborted, goes on with what is written later; null ends with the log
 */
export async function* offlineEvents(
  data: string, filter: EventFilter, follow: AbortSignal | null,
): AsyncGenerator<string[], void, undefined> {
  const reader = openReader(data, 'log')
  const numbers = numbersOf(filter.kinds)
  const cursor = new BatchCursor()
  const known = new KnownFacts()
  let zoner = zonerOf('', known)!
  let next = 0
  let left = filter.limit === 0 ? Infinity : filter.limit
  for (;;) {
    for (const { position, payload } of frames(reader, next)) {
      next = position + 1
      const envelope = decodeEnvelope(payload)
      const wanted = mayHold(envelope, filter, numbers)
      if (!wanted && !holdsFacts(envelope)) continue
      const lines: string[] = []
      cursor.forEach(openBatch(envelope), (event) => {
        known.learn(event)
        if (event.kind === 'policy_applied') zoner = zonerOf(event.text, known) ?? zoner
        if (!wanted || lines.length >= left) return
        if (event.time_ms < filter.fromMs || event.time_ms > filter.toMs) return
        if (filter.kinds.length > 0 && !filter.kinds.includes(event.kind)) return
        lines.push(JSON.stringify(zoner.json(event)))
      })
      left -= lines.length
      if (lines.length > 0) yield lines
      if (left <= 0) return
    }
    if (follow === null) return
    await sleep(POLL_MS, undefined, { signal: follow }).catch(() => undefined)
    if (follow.aborted) return
  }
}

/** Throws CLI_USAGE for a kind that no build ever had. */
function numbersOf(kinds: readonly string[]): Set<number> {
  return new Set(kinds.map((kind) => kindInfos.find((info) => info.kind === kind)?.number ?? -1))
}

function mayHold(envelope: BatchEnvelope, filter: EventFilter, numbers: Set<number>): boolean {
  const { node_id, clock_offset_ns, first_time, last_time, kinds } = envelope
  if (filter.nodes.length > 0 && !filter.nodes.includes(node_id)) return false
  // A millisecond of room: the events are compared exactly.
  if (Number((last_time + clock_offset_ns) / 1_000_000n) + 1 < filter.fromMs) return false
  if (Number((first_time + clock_offset_ns) / 1_000_000n) - 1 > filter.toMs) return false
  return numbers.size === 0 || kinds.some((number) => numbers.has(number))
}

const factNumbers = new Set(kindInfos
  .filter(({ kind }) => kind === 'policy_applied' || FACT_KINDS.includes(kind))
  .map(({ number }) => number))

function holdsFacts(envelope: BatchEnvelope): boolean {
  return envelope.kinds.some((number) => factNumbers.has(number))
}

function zonerOf(text: string, known: KnownFacts): EventZoner | null {
  const { policy } = text === '' ? { policy: learningPolicy() } : parsePolicy(text)
  return policy === null ? null : new EventZoner(compilePolicy(policy), () => known)
}
