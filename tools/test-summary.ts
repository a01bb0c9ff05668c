import { existsSync, readFileSync } from 'node:fs'
import { parseVitestResults, sumCounts } from './vitest-results.ts'
import type { Counts } from './vitest-results.ts'

/** A stage of the test run: how it ended, and the text of its vitest results if it left some. */
export type Stage = { name: string, exit: number | 'skipped', results: string | undefined }

/**
 * Counts a stage. Without results a stage is one test. With results their counts hold, and a
 * stage that failed although no test in it did (it was killed, crashed, hung) adds one failure.
 */
export function countStage({ exit, results }: Stage): Counts {
  if (exit === 'skipped') return { passed: 0, failed: 0, skipped: 1 }
  const failed = { passed: 0, failed: 1, skipped: 0 }
  if (results === undefined) return exit === 0 ? { passed: 1, failed: 0, skipped: 0 } : failed
  let counts: Counts
  try {
    counts = sumCounts(parseVitestResults(results))
  } catch {
    return failed
  }
  return exit !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts
}

/** The summary: a line per stage, and the total alone on the last line. */
export function formatSummary(stages: readonly Stage[]): { text: string, failed: boolean } {
  const width = Math.max(0, ...stages.map(({ name }) => name.length))
  const lines = stages.map((stage) => `${stage.name.padEnd(width)}  ${words(countStage(stage))}`)
  const total = sumCounts(stages.map(countStage))
  return { text: [...lines, words(total)].join('\n'), failed: total.failed > 0 }
}

/** Reads `NAME=EXIT=PATH`, PATH empty or of a file that the stage may not have written. */
export function readStage(word: string): Stage {
  const [name, exit, path] = word.split('=')
  if (exit !== 'skipped' && !/^\d+$/.test(exit ?? '')) {
    throw new RangeError(`a stage is NAME=EXIT=PATH with EXIT a number or 'skipped', got: ${word}`)
  }
  const results = path !== undefined && path !== '' && existsSync(path)
    ? readFileSync(path, 'utf8')
    : undefined
  return { name, exit: exit === 'skipped' ? exit : Number(exit), results }
}

function words({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`
}

if (import.meta.main) {
  const { text, failed } = formatSummary(process.argv.slice(2).map(readStage))
  process.stdout.write(`${text}\n`)
  process.exitCode = failed ? 1 : 0
}
