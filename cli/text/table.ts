import { fit } from './printable.ts'

/** How a cell's text gets its colour, after its width is known. */
export type Paint = (text: string) => string

/** One cell; `paint` is applied when the widths are settled. */
export type Cell = string | { text: string, paint: Paint }

/**
 * Rows as lines with aligned columns, two blanks between them, none at the end of a line. The last
 * column is cut so that a line fits `width`; the others are as wide as their widest cell.
 */
export function alignRows(rows: readonly (readonly Cell[])[], width: number): string[] {
  const widths: number[] = []
  for (const row of rows) {
    row.slice(0, -1).forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, [...textOf(cell)].length)
    })
  }
  return rows.map((row) => {
    let used = 0
    return row.map((cell, i) => {
      const last = i === row.length - 1
      const text = last ? fit(textOf(cell), width - used) : textOf(cell)
      const blanks = last ? '' : ' '.repeat(widths[i] - [...text].length + 2)
      used += text.length + blanks.length
      return (typeof cell === 'string' ? text : cell.paint(text)) + blanks
    }).join('').trimEnd()
  })
}

/** Text in lines of at most `width`, broken at blanks; a longer word gets a line of its own. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  if (line !== '') lines.push(line)
  return lines
}

function textOf(cell: Cell): string {
  return typeof cell === 'string' ? cell : cell.text
}
