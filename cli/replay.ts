import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { firstPositionSince } from '../correlator/query/since.ts'
import { readSnapshot, snapshotPositions } from '../correlator/state/snapshots.ts'
import { detectors } from '../detectors/index.ts'
import { amount } from '../detect/words.ts'
import type { Incident, IncidentUpdate } from '../detect/incident.ts'
import { canonicalJson } from '../detect/incident.ts'
import { diffIncidents, replay } from '../detect/replay.ts'
import type { IncidentDiff, ReplayResult } from '../detect/replay.ts'
import { folderHolder } from '../log/lock.ts'
import { BatchError, decodeEnvelope } from '../proto/batch.ts'
import type { CommandSpec, ExitCode } from './command.ts'
import { timeOption } from './events.ts'
import { printLines, say, screenWidth, tone } from './output.ts'
import { readPolicyFiles } from './policy-file.ts'
import type { PolicyFiles } from './policy-file.ts'
import { Progress } from './progress.ts'
import { frames, openReader } from './read/offline.ts'
import type { Values } from './settings.ts'
import { incidentTable } from './text/incident-line.ts'
import { formatCount, TIME_FORMS } from './text/time.ts'

const DATA_DEFAULT = './data'
/** How long a running correlator may be behind its own event log. */
const LAG_MS = 2000
const POLL_MS = 100

export const spec: CommandSpec = {
  name: 'replay',
  summary: 'the detectors over the event log again; exit 0 when the incidents are identical',
  examples: [
    'vedette replay                               must say identical, also while `up` runs',
    'vedette replay --policy new.yaml             what another policy would have raised',
    'vedette replay --policy new.yaml --diff      and how that differs from what was raised live',
    'vedette replay --from 2h --to 1h             incidents of that hour only',
  ],
  settings: ['data', 'policy', 'from', 'to', 'diff'],
  changes: {
    data: { default: DATA_DEFAULT },
    policy: { help: 'another policy', shown: 'those in the log' },
    from: { help: `incidents from then on: ${TIME_FORMS}` },
    to: { help: 'the log until then' },
    diff: { help: 'compare with what was raised live (done anyway without --policy), in full' },
  },
  async run(values): Promise<ExitCode> {
    const policy = values.policy === undefined ? undefined : readPolicyFiles(values.policy)
    const done = run(values, policy)
    if (policy !== undefined && values.diff !== true) return showRaised(done, values)
    return compare(done, values, policy !== undefined)
  },
}

/** What a replay did. */
interface Done {
  result: ReplayResult
  data: string
  /** Updates of these positions of the event log were made again. */
  firstPosition: number
  lastPosition: number
  fromMs: number
  /** SHA-256 over all updates in order, as they stand in the incident log. */
  updates: number
  digest: string
  tookMs: number
}

function run(values: Values, files: PolicyFiles | undefined): Done {
  const { data = DATA_DEFAULT } = values
  const fromMs = timeOption('from', values.from) ?? -Infinity
  const toMs = timeOption('to', values.to) ?? Infinity
  const reader = openReader(data, 'log')
  const start = startOf(data, reader.first ?? 1, fromMs)
  const progress = new Progress('replayed', 'events')
  const hash = createHash('sha256')
  let [updates, lastPosition] = [0, start.firstPosition - 1]
  const batches = function* (): Generator<{ position: number, payload: Buffer }> {
    for (const entry of frames(reader, start.firstPosition)) {
      const { beginsMs, count } = extentOf(entry.payload)
      // A range ends at a place in the log, so that live and replay mean the same one.
      if (beginsMs > toMs) return
      yield entry
      lastPosition = entry.position
      progress.add(count)
    }
  }
  const startedMs = performance.now()
  const result = replay(batches(), {
    detectors, ...files, fromMs, snapshot: start.snapshot,
    onUpdate: (update) => {
      updates++
      hash.update(canonicalJson(update)).update('\n')
    },
  })
  progress.clear()
  for (const { position, message } of result.malformed) {
    say(`vedette: batch ${position} of the event log cannot be read: ${message}`)
  }
  const tookMs = performance.now() - startedMs
  const { firstPosition } = start
  return {
    result, data, firstPosition, lastPosition, fromMs, updates, digest: hash.digest('hex'), tookMs,
  }
}

/**
 * Where to begin, and with which state: behind the last snapshot before `fromMs`, or before the
 * oldest batch that is left; at the first batch of all no state is needed.
 */
function startOf(
  data: string, first: number, fromMs: number,
): { firstPosition: number, snapshot?: Uint8Array } {
  const dir = join(data, 'snapshots')
  const wanted = fromMs === -Infinity ? first : firstPositionSince(join(data, 'log'), fromMs)
  const usable = snapshotPositions(dir).filter((position) => position >= first - 1)
  const near = usable.find((position) => position < wanted) ??
    (first > 1 ? usable.at(-1) : undefined)
  if (near === undefined) {
    if (first > 1) {
      say('vedette: the beginning of the event log has left by retention, and no state of then ' +
        'is kept: what reaches back to it can differ.')
    }
    return { firstPosition: first }
  }
  try {
    return { firstPosition: near + 1, snapshot: readSnapshot(dir, near).engine }
  } catch (error) {
    say(`vedette: ${(error as Error).message}`)
    return { firstPosition: first }
  }
}

function extentOf(payload: Buffer): { beginsMs: number, count: number } {
  try {
    const { first_time, clock_offset_ns, count } = decodeEnvelope(payload)
    return { beginsMs: Number(first_time + clock_offset_ns) / 1e6, count }
  } catch (error) {
    if (error instanceof BatchError) return { beginsMs: 0, count: 0 }
    throw error
  }
}

/** What was raised live, of the same places of the event log. */
interface Live {
  incidents: Incident[]
  updates: number
  digest: string
}

function readLive({ data, firstPosition, lastPosition, fromMs }: Done): Live {
  const incidents = new Map<string, Incident>()
  const hash = createHash('sha256')
  let updates = 0
  for (const { payload } of frames(openReader(data, 'incidents'))) {
    const { position, incident } = JSON.parse(payload.toString('utf8')) as IncidentUpdate
    if (position < firstPosition || position > lastPosition) continue
    incidents.set(incident.incident_id, incident)
    updates++
    hash.update(payload).update('\n')
  }
  const touching = [...incidents.values()].filter((one) => Date.parse(one.updated_at) >= fromMs)
  return { incidents: touching, updates, digest: hash.digest('hex') }
}

async function compare(done: Done, values: Values, otherPolicy: boolean): Promise<ExitCode> {
  const { result, data } = done
  let live = readLive(done)
  for (let waitedMs = 0; waitedMs < LAG_MS; waitedMs += POLL_MS) {
    if (live.digest === done.digest || folderHolder(join(data, 'incidents')) === null) break
    await sleep(POLL_MS)
    live = readLive(done)
  }
  const diff = diffIncidents(live.incidents, result.incidents)
  // Every change on the way must be the same, not only how it ended.
  const identical = diff.identical && (otherPolicy || live.digest === done.digest)
  if (values.output === 'json') {
    await printLines([JSON.stringify(summaryJson(done, live, diff, identical)),
      ...(values.diff ? differencesJson(diff) : [])])
  } else {
    await printLines(identical
      ? [`${tone('good', 'identical')}: ${amount(live.incidents.length, 'incident')}`]
      : differenceLines(done, live, diff, values.diff === true))
    sayRate(done)
  }
  return identical ? 0 : 1
}

function summaryJson(done: Done, live: Live, diff: IncidentDiff, identical: boolean): object {
  const { result } = done
  return {
    identical, incidents: live.incidents.length, replayed_incidents: result.incidents.length,
    updates: live.updates, replayed_updates: done.updates, events: result.events,
    batches: result.batches, first_position: done.firstPosition, last_position: done.lastPosition,
    only_live: diff.only_live.map((one) => one.incident_id),
    only_replayed: diff.only_replayed.map((one) => one.incident_id),
    different: diff.different.map(({ incident_id, keys }) => ({ incident_id, keys })),
  }
}

function differencesJson(diff: IncidentDiff): string[] {
  return [
    ...diff.only_live.map((one) => canonicalJson({ only: 'live', incident: one })),
    ...diff.only_replayed.map((one) => canonicalJson({ only: 'replayed', incident: one })),
    ...diff.different.map((one) => canonicalJson(one)),
  ]
}

function differenceLines(done: Done, live: Live, diff: IncidentDiff, inFull: boolean): string[] {
  const width = screenWidth()
  const part = (title: string, incidents: Incident[]): string[] =>
    incidents.length === 0 ? []
      : [title, ...incidentTable(incidents, width - 2).map((line) => `  ${line}`)]
  const lines = [
    `${tone('bad', 'different')}: ${formatCount(diff.same)} the same, ` +
      `${formatCount(diff.only_live.length)} only live, ` +
      `${formatCount(diff.only_replayed.length)} only replayed, ` +
      `${formatCount(diff.different.length)} not the same`,
    ...part('Only live:', diff.only_live),
    ...part('Only replayed:', diff.only_replayed),
    ...part('Not the same (as replayed):', diff.different.map((one) => one.replayed)),
    ...diff.different.map(({ incident_id: id, keys }) => `  ${id} differs in ${keys.join(', ')}`),
  ]
  if (diff.identical) {
    lines.push('The incidents ended the same, but on other ways: ' +
      `${live.updates} changes live, ${done.updates} replayed.`)
  }
  return [...lines, ...(inFull ? differencesJson(diff) : [])]
}

async function showRaised(done: Done, { output }: Values): Promise<ExitCode> {
  const { incidents } = done.result
  await printLines(output === 'json' ? incidents.map((one) => canonicalJson(one))
    : incidentTable(incidents, screenWidth()))
  say(`${amount(incidents.length, 'incident')} would have been raised`)
  sayRate(done)
  return 0
}

function sayRate({ result, tookMs }: Done): void {
  const rate = result.events / Math.max(tookMs / 1000, 1e-6)
  say(`replayed ${formatCount(result.events)} events in ${(tookMs / 1000).toFixed(2)} s ` +
    `(${formatCount(rate)}/s)`)
}
