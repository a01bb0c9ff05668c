/**
 * What is usual for a class of workloads, learned from its own past. Plain data, kept in the state
 * of a detector. Thresholds `learn_ms` and `learn_events` say when enough was seen.
 */
import type { Context } from '../detect/context.ts'
import type { Json } from '../detect/finding.ts'
import { amount } from '../detect/words.ts'

/** Since when a class is known, and how much was seen of it. */
export interface Baseline {
  /** Wall clock, milliseconds. */
  sinceMs: number
  events: number
}

/** Those that every detector with a baseline has. A week holds the rhythm of most sites. */
export const learnSettings = { learn_ms: 7 * 86_400_000, learn_events: 100 } as const

/** Fewer events than so many times `learn_events` are told as a thin baseline. */
const THIN_TIMES = 10

/** Whether enough was seen of the class to call something new. */
export function isMature(baseline: Baseline, nowMs: number, context: Context): boolean {
  return baseline.events >= context.setting('learn_events') &&
    nowMs - baseline.sinceMs >= context.setting('learn_ms')
}

/** For the details of a finding. A thin baseline says so. */
export function tellBaseline(
  { sinceMs, events }: Baseline, context: Context,
): { [name: string]: Json } {
  return {
    since: new Date(sinceMs).toISOString(), events,
    thin: events < THIN_TIMES * context.setting('learn_events'),
  }
}

/** `in 9 days and 1234 events`. */
export function baselineInWords({ sinceMs, events }: Baseline, nowMs: number): string {
  const days = (nowMs - sinceMs) / 86_400_000
  const hours = Math.max(1, Math.round(24 * days))
  const long = days >= 2 ? amount(Math.floor(days), 'day') : amount(hours, 'hour')
  return `in ${long} and ${amount(events, 'event')}`
}
