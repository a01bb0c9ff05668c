import { expect, test } from 'vitest'
import { countStage, formatSummary, readStage } from './test-summary.ts'

const results = (...statuses: string[]): string => JSON.stringify({ testResults: [{
  name: 'a.test.ts', status: 'passed', message: '',
  assertionResults: statuses.map((status) => ({ fullName: 'x', status })),
}] })

test('a stage without results is one test', () => {
  expect(countStage({ name: 'types', exit: 0, results: undefined }).passed).toBe(1)
  expect(countStage({ name: 'types', exit: 2, results: undefined }).failed).toBe(1)
})

test('a stage with results counts as they say', () => {
  expect(countStage({ name: 'vitest', exit: 1, results: results('passed', 'failed', 'skipped') }))
    .toEqual({ passed: 1, failed: 1, skipped: 1 })
})

test('a stage that died after its tests had passed is a failure', () => {
  expect(countStage({ name: 'kernel', exit: 137, results: results('passed') }))
    .toEqual({ passed: 1, failed: 1, skipped: 0 })
})

test('results that cannot be read are a failure, even with exit status 0', () => {
  expect(countStage({ name: 'vitest', exit: 0, results: '{' }).failed).toBe(1)
})

test('a skipped stage is counted as skipped', () => {
  expect(countStage(readStage('kernel 6.12=skipped=')))
    .toEqual({ passed: 0, failed: 0, skipped: 1 })
})

test('the total stands alone on the last line', () => {
  const { text, failed } = formatSummary([readStage('types=0='), readStage('kernel 6.1=1=')])
  expect(text.split('\n')).toEqual([
    'types       1 passed, 0 failed, 0 skipped',
    'kernel 6.1  0 passed, 1 failed, 0 skipped',
    '1 passed, 1 failed, 0 skipped',
  ])
  expect(failed).toBe(true)
  expect(formatSummary([readStage('types=0=')]).failed).toBe(false)
})

test('a stage that is not NAME=EXIT=PATH is refused', () => {
  for (const word of ['', 'types', 'types=', 'types=x=', 'types=-1=']) {
    expect(() => readStage(word), word).toThrow(RangeError)
  }
})
