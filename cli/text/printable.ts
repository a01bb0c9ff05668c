/** Everything that a terminal could take for a command, or that hides or turns text around. */
const HOSTILE = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\u2028\u2029]/gu

/**
 * Text from a workload (name, path, argument) made safe for a screen: control characters, escape
 * sequences and bidirectional marks become their code, such as `\u{1b}`. JSON output does not need
 * it: there JSON itself escapes.
 */
export function printable(text: string): string {
  return text.replaceAll(HOSTILE, (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`)
}

/** At most `columns` code points, `…` for what was cut. */
export function fit(text: string, columns: number): string {
  if (text.length <= columns) return text
  const points = [...text]
  return points.length <= columns ? text : `${points.slice(0, Math.max(0, columns - 1)).join('')}…`
}

/** A word of a command line as a shell would need it; safe words stay as they are. */
export function shellWord(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word
  return `'${printable(word).replaceAll('\'', String.raw`'\''`)}'`
}
