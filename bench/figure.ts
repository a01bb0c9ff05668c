// What a bench says, and how it is printed.

/** One measured figure. Exactly one of the goals, or none for a figure that stands beside one. */
export interface Figure {
  /** What was measured, in a few words. */
  name: string
  value: number
  unit: string
  at_least?: number
  below?: number
  /** How it was measured, or what disturbs it. */
  note?: string
}

export interface BenchResult { bench: string, figures: Figure[], failure?: string }

/** Middle value; the lower one of two. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[(sorted.length - 1) >> 1]
}

/** Value against goal, so that 1 or more is a goal met; undefined without a goal. */
export function ratioOf(figure: Figure): number | undefined {
  if (figure.at_least !== undefined) return figure.value / figure.at_least
  if (figure.below !== undefined) return figure.below / figure.value
  return undefined
}

/** The figures of all benches as one aligned table. */
export function table(results: readonly BenchResult[]): string {
  const rows = [['bench', 'figure', 'value', 'goal', 'ratio', 'how']]
  for (const { bench, figures, failure } of results) {
    if (failure) rows.push([bench, 'not measured', '', '', '', failure])
    for (const figure of figures) {
      const ratio = ratioOf(figure)
      rows.push([bench, figure.name, `${amount(figure.value)} ${figure.unit}`, goalOf(figure),
        ratio === undefined ? '' : ratio.toFixed(2), figure.note ?? ''])
    }
  }
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)))
  return rows.map((row) =>
    row.map((cell, i) => isNumber(i) ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))
      .join('  ').trimEnd()).join('\n')
}

function isNumber(column: number): boolean {
  return column >= 2 && column <= 4
}

function goalOf({ at_least: atLeast, below, unit }: Figure): string {
  if (atLeast !== undefined) return `≥ ${amount(atLeast)} ${unit}`
  return below === undefined ? '' : `< ${amount(below)} ${unit}`
}

function amount(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en-US')
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 2).replace(/\.?0+$/, '') || '0'
}
