/** A date, a time and an offset, as RFC 3339 writes them. */
const TIME = new RegExp(
  /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?/.source +
  /(?:[Zz]|([+-])(\d{2}):(\d{2}))$/.source)

/** RFC 3339 to milliseconds since 1970. NaN for a day or hour that is none, null for other text. */
export function timeOf(text: string): number | null {
  const parts = TIME.exec(text)
  if (parts === null) return null
  const [year, month, day, hour, minute, second] = parts.slice(1, 7).map(Number)
  const [offsetHour, offsetMinute] = parts.slice(9, 11).map((part) => Number(part ?? 0))
  if (hour > 23 || minute > 59 || second > 59 || offsetHour > 23 || offsetMinute > 59) return NaN
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  // A day past the end of its month rolls over into the next one.
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return NaN
  const fraction = Math.floor(Number(`0.${parts[7] ?? '0'}`) * 1000)
  const offset = (offsetHour * 60 + offsetMinute) * (parts[8] === '-' ? -1 : 1)
  return date.getTime() + ((hour * 60 + minute - offset) * 60 + second) * 1000 + fraction
}
