/** Whether enough was seen to call something unusual, and how to say that it was not. */
import type { Usual } from './usual.ts'

/** What must have been seen of a class and a store. */
export interface WarmUp {
  /** Days with reads, the one that runs left out. */
  days: number
  reports: number
}

/** A week holds the rhythm of most sites; the reports of one short job are not enough. */
const usualWarmUp: WarmUp = { days: 7, reports: 100 }

/** Too little was seen to say what is usual. */
export function isThin(
  usual: Pick<Usual, 'days' | 'reports'> | null, need: WarmUp = usualWarmUp,
): boolean {
  return usual === null || usual.days < need.days || usual.reports < need.reports
}

/**
 * `seen on 12 days in 3401 reports`, and when that is too little: `seen on 2 days in 40 reports,
 * too little to say what is usual (7 days and 100 reports)`.
 */
export function seenInWords(usual: Usual | null, need: WarmUp = usualWarmUp): string {
  const { days, reports } = usual ?? { days: 0, reports: 0 }
  const seen = `seen on ${amount(days, 'day')} in ${amount(reports, 'report')}`
  return isThin(usual, need) ? `${seen}, too little to say what is usual ` +
    `(${amount(need.days, 'day')} and ${amount(need.reports, 'report')})` : seen
}

/** Whether the hour of a time, UTC, is one in which it was seen before. */
export function isUsualHour({ hours }: Usual, timeMs: number): boolean {
  return (hours & (1 << (Math.floor(timeMs / 3_600_000) % 24))) !== 0
}

function amount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
