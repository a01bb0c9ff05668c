import { expect, test } from 'vitest'
import { parseVitestResults, ResultsError, sumCounts } from './vitest-results.ts'

const results = (...testResults: unknown[]): string => JSON.stringify({ testResults })

const passed = { fullName: 'a quiet one', status: 'passed', failureMessages: [] }
const failed = { fullName: 'a loud one', status: 'failed', failureMessages: ['Error: 1 is not 2'] }
const skipped = { fullName: 'needs root', status: 'skipped', failureMessages: [] }

test('passed, failed and skipped tests are counted by file', () => {
  const [file] = parseVitestResults(results({ name: '/x/test/probes/process.test.ts',
    status: 'failed', message: '', assertionResults: [passed, passed, failed, skipped] }))
  expect(file).toEqual({ name: 'process', passed: 2, failed: 1, skipped: 1,
    failures: [{ test: 'a loud one', message: 'Error: 1 is not 2' }], skips: ['needs root'] })
})

test('a file that cannot load counts as one failed and gives its message', () => {
  const [file] = parseVitestResults(results({ name: '/x/process.test.ts', status: 'failed',
    message: 'Cannot find module', assertionResults: [] }))
  expect(file.failed).toBe(1)
  expect(file.failures[0].message).toBe('Cannot find module')
})

test('a file of passed tests has nothing to talk about', () => {
  const [file] = parseVitestResults(results({ name: 'a.test.ts', status: 'passed',
    message: '', assertionResults: [passed] }))
  expect(file).toEqual({ name: 'a', passed: 1, failed: 0, skipped: 0, failures: [], skips: [] })
})

test('a status that is not known is never taken for passed', () => {
  const [file] = parseVitestResults(results({ name: 'a.test.ts', status: 'passed',
    message: '', assertionResults: [{ fullName: 'odd', status: 'pending' }] }))
  expect(file).toMatchObject({ passed: 0, skipped: 1 })
})

test('files come in the order of their names', () => {
  const file = (name: string) => ({ name, status: 'passed', message: '', assertionResults: [] })
  const names = parseVitestResults(results(file('b.test.ts'), file('a.test.ts')))
  expect(names.map(({ name }) => name)).toEqual(['a', 'b'])
})

test('cut short, empty and strange texts are refused', () => {
  for (const text of ['', '{"testResults":[', '{}', '[]', 'null', results({ name: 1 }),
    results({ name: 'a' }), results(null)]) {
    expect(() => parseVitestResults(text), text).toThrow()
  }
  expect(() => parseVitestResults('{')).toThrow(ResultsError)
})

test('counts add up, and nothing adds up to nothing', () => {
  const one = { passed: 1, failed: 2, skipped: 3 }
  expect(sumCounts([one, one])).toEqual({ passed: 2, failed: 4, skipped: 6 })
  expect(sumCounts([])).toEqual({ passed: 0, failed: 0, skipped: 0 })
})
