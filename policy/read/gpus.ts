import type { Actors, GpuPolicy, Position } from '../policy.ts'
import { entryOf, listOf, patternsOf, problemAt, textOf } from './cursor.ts'
import type { Cursor, Report } from './cursor.ts'
import { timeOf } from './time.ts'
import { readMatch } from './zones.ts'

/** Reads what is said of GPUs, and reports windows of time that are none. */
export function readGpus(cursor: Cursor | null, report: Report): GpuPolicy {
  return {
    baselines: listOf(entryOf(cursor, 'baselines')).map((entry) => ({
      ...entry.located.at, file: textOf(entry, 'file') ?? '',
      nodeGroups: patternsOf(entryOf(entry, 'node_groups')),
    })),
    baselineKeys: patternsOf(entryOf(cursor, 'baseline_keys')),
    users: actorsOf(entryOf(cursor, 'users')),
    administrators: actorsOf(entryOf(cursor, 'administrators')),
    maintenance: listOf(entryOf(cursor, 'maintenance'))
      .flatMap((entry) => windowOf(entry, report)),
    confidentialComputing: textOf(cursor, 'confidential_computing') === 'required',
  }
}

function actorsOf(cursor: Cursor | null): Actors | null {
  return cursor === null ? null : readMatch(cursor)
}

function windowOf(entry: Cursor, report: Report): GpuPolicy['maintenance'] {
  const fromMs = momentOf(entry, 'from', report)
  const untilMs = momentOf(entry, 'until', report)
  if (fromMs === null || untilMs === null) return []
  if (untilMs <= fromMs) {
    report(problemAt(entry, 'error', 'this window ends before it begins',
      'write a time after from: as until:'))
    return []
  }
  const at: Position = entry.located.at
  return [{ ...at, fromMs, untilMs, reason: textOf(entry, 'reason') ?? '',
    nodeGroups: patternsOf(entryOf(entry, 'node_groups')) }]
}

function momentOf(entry: Cursor, key: string, report: Report): number | null {
  const at = entryOf(entry, key)
  const text = textOf(entry, key)
  const time = text === null ? null : timeOf(text)
  if (at !== null && time !== null && Number.isNaN(time)) {
    report(problemAt(at, 'error', `${JSON.stringify(text)} is not in the calendar`,
      'write a date and time that exist, such as 2030-01-31T12:00:00Z'))
    return null
  }
  return time
}
