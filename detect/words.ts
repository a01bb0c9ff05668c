/** Words of findings: text from workloads made harmless, and amounts that people can read. */
import type { Severity } from './finding.ts'

/**
 * Text of a workload for a sentence: control, format and broken characters become their escape, and
 * what is longer than `charsMax` UTF-16 units ends in `…`. A name must not write a line of ours.
 */
export function printable(text: string, charsMax = 200): string {
  const cut = text.length > charsMax ? `${text.slice(0, charsMax)}…` : text
  return cut.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu, (char) =>
    `\\u{${char.codePointAt(0)!.toString(16)}}`)
}

/** `1 host`, `23 hosts`. */
export function amount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

/** Bytes with a binary unit: `512 B`, `1.5 MiB`. */
export function bytesInWords(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

/** An address and its port: `10.0.0.1:80`, `[2001:db8::1]:80`. */
export function endpoint(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

const severities: readonly Severity[] = ['low', 'medium', 'high', 'critical']

/** The more severe one. */
export function worseOf(one: Severity, other: Severity): Severity {
  return severities.indexOf(one) >= severities.indexOf(other) ? one : other
}
