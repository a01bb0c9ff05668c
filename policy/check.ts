/** What `vedette policy check` prints: problems of a policy text for a person to read. */
import { Lines } from './read/lines.ts'
import type { ParseResult } from './parse.ts'
import type { Problem } from './policy.ts'

/** Characters of a source line that are shown around the place of a problem. */
const SHOWN_CHARS = 88

/**
 * One block per problem: `file:line:column: error: message`, the line of the text with a caret
 * below the place, and what to write. Empty when there is nothing to say.
 *
 * @param file name to print in front; control characters in it and in the text are escaped, since
 *   they would reach a terminal
 * @param text the text that was parsed
 */
export function formatProblems(file: string, text: string, result: ParseResult): string {
  const lines = new Lines(text.replace(/^\ufeff/, ''))
  const blocks = result.problems.map((problem) => formatProblem(printable(file), lines, problem))
  if (result.unlisted > 0) {
    blocks.push(`${printable(file)}: ${result.unlisted} more problems are not listed\n`)
  }
  return blocks.join('\n')
}

function formatProblem(file: string, lines: Lines, problem: Problem): string {
  const { line, column, severity, path } = problem
  const where = path === '' ? '' : ` (${printable(path)})`
  const [source, caret] = excerpt(lines.lineText(line), column)
  const gutter = ' '.repeat(String(line).length)
  return `${file}:${line}:${column}: ${severity}: ${printable(problem.message)}${where}\n` +
    ` ${line} | ${source}\n` +
    ` ${gutter} | ${caret}^\n` +
    ` ${gutter} = ${printable(problem.fix)}\n`
}

/** The part of a line around a column, and the blanks that bring a caret below it. */
function excerpt(line: string, column: number): [source: string, caret: string] {
  const start = Math.max(0, Math.min(column - 1 - SHOWN_CHARS / 2, line.length - SHOWN_CHARS))
  const end = start + SHOWN_CHARS
  const before = (start > 0 ? '…' : '') + printable(line.slice(start, column - 1))
  const after = printable(line.slice(column - 1, end)) + (end < line.length ? '…' : '')
  return [before + after, ' '.repeat(before.length)]
}

/** Tabs become one blank, other control characters and odd line breaks their escape. */
function printable(text: string): string {
  return text.replaceAll('\t', ' ').replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029\p{Cs}]/gu, (char) => {
    return `\\u{${char.codePointAt(0)!.toString(16)}}`
  })
}
