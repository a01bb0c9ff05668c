import { expect, test } from 'vitest'
import { allPassed, formatReport, guestTroubles } from './report.ts'
import type { KernelReport } from './report.ts'

const good: KernelReport = { kernel: '6.1', troubles: [],
  files: [{ name: 'connection', passed: 12, failed: 0, skipped: 0, failures: [], skips: [] }] }
const bad: KernelReport = { kernel: '6.12', troubles: [], files: [{ name: 'process', passed: 1,
  failed: 1, skipped: 1, skips: ['needs fentry'],
  failures: [{ test: 'sees an exec', message: 'Error: none came' }] }] }

test('a kernel whose tests all passed gives its row and no note', () => {
  expect(formatReport([good])).toBe([
    'kernel  probe tests  passed  failed  skipped',
    '6.1     connection       12       0        0',
  ].join('\n'))
  expect(allPassed([good])).toBe(true)
})

test('a failed test is named with its kernel and message, and the run has not passed', () => {
  const text = formatReport([good, bad])
  expect(text).toContain('FAILED on 6.12: sees an exec\n    Error: none came')
  expect(allPassed([good, bad])).toBe(false)
})

test('of a stack only our own places are shown', () => {
  const message = ['Error: none came', '    at /x/test/probes/a.test.ts:4:9',
    '    at new Promise (<a>)', '    at file:///x/node_modules/vitest/run.js:1:2'].join('\n')
  const text = formatReport([{ ...bad, files: [{ ...bad.files[0],
    failures: [{ test: 'sees an exec', message }] }] }])
  expect(text).toContain('a.test.ts:4:9')
  expect(text).not.toMatch(/node_modules|new Promise/)
})

test('a skipped test is said aloud', () => {
  expect(formatReport([bad])).toContain('SKIPPED on 6.12: needs fentry')
})

test('a run without any test has not passed', () => {
  expect(allPassed([])).toBe(false)
  expect(allPassed([{ kernel: '6.1', files: [], troubles: [] }])).toBe(false)
  expect(formatReport([{ kernel: '6.1', files: [], troubles: [] }])).toContain('no test passed')
})

test('a dead guest fails the run whatever its tests said before', () => {
  expect(allPassed([{ ...good, troubles: ['guest died'] }])).toBe(false)
})

test('a guest with BTF and BPF LSM has no troubles, one without has', () => {
  const facts = { release: '6.1.0', uptime_s: 5, btf: true, lsm: ['capability', 'bpf'] }
  expect(guestTroubles(facts)).toEqual([])
  expect(guestTroubles({ ...facts, btf: false })[0]).toMatch(/no BTF/)
  expect(guestTroubles({ ...facts, lsm: ['capability'] })[0]).toMatch(/without BPF LSM/)
})
