/** Where programs put files that are not to stay, as their arguments say. */
import type { LineageProcess } from '../../detect/lineage.ts'
import { isShell } from '../programs.ts'

const PATH = '(/(?:tmp|var/tmp|dev/shm|run/user|home|root)/[^\\0\\s\'"),;|&]*)'
/** Behind a blank, a quote, `=`, or the letter f of tar; up to the next of them. */
const place = new RegExp(`(?:[\\0\\s='"(,>]|\\0-?[A-Za-z]*f)${PATH}`, 'g')
/** Of a line of a shell: where the output of a program goes. */
const redirect = new RegExp(`(?:>|\\btee(?: -a)?)\\s*['"]?${PATH}`, 'g')

/**
 * A path in temporary space, or in the home of somebody, that the arguments of a process or of the
 * shell that started it name; '' when there is none. What leads to the file that is read is none.
 *
 * @param source path of a file that is read
 */
export function temporaryPlace(
  process: LineageProcess, parent: LineageProcess | null, source: string,
): string {
  // The first word is the program itself.
  const own = process.args.includes('\0') ? process.args.slice(process.args.indexOf('\0')) : ''
  const asked = parent !== null && isShell(parent) ? parent.args : ''
  for (const [, path] of [...own.matchAll(place), ...asked.matchAll(redirect)]) {
    if (!leadsTo(path, source)) return path
  }
  return ''
}

/** The path, with the file or without stars, is a folder on the way to the source, or beside it. */
function leadsTo(path: string, source: string): boolean {
  const literal = path.replace(/[*?[].*$/, '').replace(/\/+$/, '')
  const folder = source.slice(0, source.lastIndexOf('/') + 1)
  return source.startsWith(literal) || literal.startsWith(folder)
}
