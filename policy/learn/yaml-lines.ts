/** Pieces of a learned policy as text: lists, words, comments, amounts. */

const COLUMNS_MAX = 98
const NAMES_TOLD = 4

/** `key: [a, b]`, or one entry per line where that is too long. */
export function list(key: string, entries: readonly string[]): string[] {
  const line = `${key}: [${entries.join(', ')}]`
  if (line.length <= COLUMNS_MAX) return [line]
  const indent = ' '.repeat(key.search(/\S/) + 2)
  return [`${key}:`, ...entries.map((entry) => `${indent}- ${entry}`)]
}

/** A YAML scalar: bare where it can be, else with quotes and every odd character escaped. */
export function word(text: string): string {
  if (/^[\w/][\w/.=@*-]*$/.test(text) && !/^([\d.]+|true|false|null|yes|no|on|off)$/i.test(text)) {
    return text
  }
  return JSON.stringify(text).replaceAll(HOSTILE, (char) =>
    `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** A text as comment lines that fit. Nothing in it can end the comment. */
export function comment(text: string, indent: string): string[] {
  const lines: string[] = []
  let line = `${indent}#`
  for (const part of printable(text).split(' ')) {
    if (line.length + 1 + part.length > COLUMNS_MAX && !line.endsWith('#')) {
      lines.push(line)
      line = `${indent}#`
    }
    line += ` ${part}`
  }
  return [...lines, line]
}

/** The first few of a list of names. */
export function some(names: readonly string[]): string {
  const shown = names.slice(0, NAMES_TOLD).map((name) => name.slice(0, 100))
  const more = names.length - shown.length
  return shown.join(', ') + (more > 0 ? ` and ${more} more` : '')
}

/** `1,234 reads`. */
export function count(amount: number, one: string, many: string): string {
  const digits = Math.round(amount).toString().replaceAll(/\B(?=(\d{3})+$)/g, ',')
  return `${digits} ${amount === 1 ? one : many}`
}

/** `1.5 GiB`. */
export function bytes(amount: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let [value, unit] = [amount, 0]
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1024
  return `${value.toFixed(unit === 0 || value >= 100 ? 0 : 1)} ${units[unit]}`
}

const HOSTILE = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\u2028\u2029\u0085\ufeff]/gu

/** Without anything that could act on a screen. */
export function printable(text: string): string {
  return text.replaceAll(HOSTILE, (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`)
}
