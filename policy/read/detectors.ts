import { entriesOf, entryOf, problemAt, textOf } from './cursor.ts'
import type { Cursor, Report } from './cursor.ts'
import type { DetectorSetting } from '../policy.ts'
import { timeOf } from './time.ts'

/**
 * Reads the detector settings. Whether a detector or a threshold of that name exists is not known
 * here (`checkThresholds` tells); whether a mute has a true date, and has run out, is.
 *
 * @param nowMs milliseconds since 1970 to judge mutes by; null leaves that out
 */
export function readDetectors(
  cursor: Cursor | null, nowMs: number | null, report: Report,
): DetectorSetting[] {
  return entriesOf(cursor).map(([id, entry]): DetectorSetting => {
    const thresholds = entriesOf(entryOf(entry, 'thresholds')).flatMap(([name, threshold]) => {
      const { value, located } = threshold
      const scalar = typeof value === 'number' || typeof value === 'string' ||
        typeof value === 'boolean'
      return scalar ? [{ name, value, ...located.at }] : []
    })
    const at = entry.located.keyAt ?? entry.located.at
    return { id, thresholds, mute: readMute(entryOf(entry, 'mute'), nowMs, report), ...at }
  })
}

function readMute(
  cursor: Cursor | null, nowMs: number | null, report: Report,
): DetectorSetting['mute'] {
  const at = entryOf(cursor, 'until')
  const until = textOf(cursor, 'until')
  if (cursor === null || at === null || until === null) return null
  const untilMs = timeOf(until)
  if (untilMs === null) return null
  if (Number.isNaN(untilMs)) {
    report(problemAt(at, 'error', `${JSON.stringify(until)} is not in the calendar`,
      'write a date and time that exist, such as 2030-01-31T12:00:00Z'))
    return null
  }
  if (nowMs !== null && untilMs <= nowMs) {
    // Not an error: a policy that was good yesterday must still start today.
    report(problemAt(at, 'warning', 'this mute has run out; the detector speaks again',
      'remove the mute, or set a later time'))
  }
  return { reason: textOf(cursor, 'reason') ?? '', until, untilMs, ...cursor.located.at }
}
