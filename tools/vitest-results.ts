import { basename } from 'node:path'

/** Counts of tests. A file that could not even load counts as one failed. */
export type Counts = { passed: number, failed: number, skipped: number }

/** One test file of a run, `name` without folder and `.test.ts`, with the tests to talk about. */
export type FileResult = Counts & {
  name: string
  /** Full name and first message of each failed test. */
  failures: { test: string, message: string }[]
  skips: string[]
}

/** A results file that is not what vitest's json reporter writes. */
export class ResultsError extends Error {
  readonly code = 'results_malformed'
}

const MESSAGE_CHARS_MAX = 2000

/**
 * Reads the text that vitest's json reporter writes (shape: testResults[] with name, status,
 * message, assertionResults[] with fullName, status, failureMessages). Throws ResultsError.
 */
export function parseVitestResults(text: string): FileResult[] {
  let files: unknown
  try {
    files = (JSON.parse(text) as { testResults?: unknown }).testResults
  } catch (error) {
    throw new ResultsError(`vitest's results are not JSON: ${(error as Error).message}; `
      + 'the run was cut short? look at its output')
  }
  if (!Array.isArray(files)) {
    throw new ResultsError("vitest's results have no list 'testResults'; has its format changed?")
  }
  return files.map(fileResult).sort((a, b) => a.name < b.name ? -1 : 1)
}

/** Adds counts up. */
export function sumCounts(all: readonly Counts[]): Counts {
  const total = { passed: 0, failed: 0, skipped: 0 }
  for (const { passed, failed, skipped } of all) {
    total.passed += passed
    total.failed += failed
    total.skipped += skipped
  }
  return total
}

function fileResult(file: Record<string, unknown>): FileResult {
  const tests = file?.assertionResults
  if (typeof file?.name !== 'string' || !Array.isArray(tests)) {
    throw new ResultsError("a file in vitest's results lacks 'name' or 'assertionResults'; "
      + 'has its format changed?')
  }
  const result: FileResult = { name: basename(file.name).replace(/\.test\.ts$/, ''),
    passed: 0, failed: 0, skipped: 0, failures: [], skips: [] }
  for (const { status, fullName, failureMessages } of tests) {
    if (status === 'passed') {
      result.passed += 1
    } else if (status === 'failed') {
      result.failed += 1
      const message = String(failureMessages?.[0] ?? '').slice(0, MESSAGE_CHARS_MAX)
      result.failures.push({ test: String(fullName), message })
    } else {
      result.skipped += 1
      result.skips.push(String(fullName))
    }
  }
  if (file.status === 'failed' && result.failed === 0) {
    result.failed = 1
    const message = String(file.message ?? '').slice(0, MESSAGE_CHARS_MAX)
    result.failures.push({ test: `${result.name} (the file itself)`, message })
  }
  return result
}
