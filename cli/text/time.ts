/** Times as people write and read them on a command line. */

const UNIT_MS: Record<string, number> = {
  ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000,
}
const RFC3339 = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)$/

/** What a time may look like, for help and errors. */
export const TIME_FORMS = 'RFC 3339 such as 2030-01-31T12:00:00Z, or a span such as 15m, 2h or 3d'

/**
 * Milliseconds since 1970 of a T: RFC 3339, or a span before `nowMs` (`90s`, `15m`, `1h30m`, `2d`).
 * null when it is neither, or no day of the calendar.
 */
export function parseTime(text: string, nowMs: number): number | null {
  const span = parseSpan(text)
  if (span !== null) return nowMs - span
  const match = RFC3339.exec(text)
  if (match === null) return null
  const [, year, month, day, hour, minute, second, , zone] = match
  const ms = Date.parse(text.replace(' ', 'T').toUpperCase())
  // Date.parse turns 30 February into March.
  const days = new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate()
  const real = Number(month) >= 1 && Number(month) <= 12 && Number(day) >= 1 && Number(day) <= days
  if (!real || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return null
  return zone === undefined || !Number.isFinite(ms) ? null : ms
}

/** Milliseconds of a span such as `1h30m`; null when it is none. */
export function parseSpan(text: string): number | null {
  if (!/^(\d{1,9}(ms|s|m|h|d|w))+$/.test(text)) return null
  let ms = 0
  for (const [, count, unit] of text.matchAll(/(\d+)(ms|s|m|h|d|w)/g)) {
    ms += Number(count) * UNIT_MS[unit]
  }
  return ms
}

/** A duration in the largest unit that keeps three digits: `340 ms`, `12.3 s`, `4 min 10 s`. */
export function formatDuration(ms: number): string {
  if (ms < 1) return `${Math.round(ms * 1000)} µs`
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`
  const minutes = Math.floor(ms / 60_000)
  if (minutes < 60) return `${minutes} min ${Math.floor(ms / 1000) % 60} s`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return `${hours} h ${minutes % 60} min`
  return `${Math.floor(hours / 24)} d ${hours % 24} h`
}

/** Bytes with three digits and a binary unit: `512 B`, `13.4 KiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let value = bytes
  let unit = 0
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1024
  const digits = unit === 0 || value >= 100 ? 0 : 1
  return `${value.toFixed(digits)} ${units[unit]}`
}

/** A whole number with commas: `1,234,567`. */
export function formatCount(count: number): string {
  return Math.round(count).toString().replace(/\B(?=(\d{3})+$)/g, ',')
}
