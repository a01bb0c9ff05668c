import { expect, it } from 'vitest'
import { parsePolicy } from '../parse.ts'
import type { Refused } from './flows.ts'
import { flowLines, refusedLines, zoneLines } from './told.ts'
import { comment } from './yaml-lines.ts'

const HOSTILE = '/x\n  - name: evil\r\u2028\u202e\u0000 "\' # : [*&'
const amounts = {
  connections: 1234, bytes_sent: 5_000_000, bytes_received: 12, first_ms: 0, last_ms: 3_600_000,
  slices: 3, example: { node_id: HOSTILE, boot_id: '0'.repeat(32), seq: 7 },
}
const refused: Refused = {
  ...amounts, from: 'a', to: 'external', ports: ['443/tcp'], executables: [HOSTILE], to_dns: [],
  openers: [HOSTILE], servers: ['10.0.0.1'], refusal: 'rare', incident: '',
}

it('names from workloads can neither end a comment nor begin an entry', () => {
  const lines = [...comment(HOSTILE.repeat(40), '  '), ...refusedLines([refused, refused])]
  for (const line of lines.join('\n').split(/[\n\r\u2028\u2029\u0085]/)) {
    expect(line.trimStart()).toMatch(/^#/)
  }
  const text = ['version: 1', 'zones:', ...zoneLines([{ name: 'a', exposure: 'public',
    match: { namespaces: ['no'], cidrs: ['fd00::/64'] }, evidence: [HOSTILE], unwatched: false }]),
  'flows:', ...flowLines([{ ...refused, executables: ['/opt/my app/x: y'] }])].join('\n')
  const { policy, problems } = parsePolicy(text)
  expect(problems).toEqual([])
  expect(policy!.zones.map(({ name }) => name)).toEqual(['a'])
  expect(policy!.flows[0].executables[0].text).toBe('/opt/my app/x: y')
})

it('a flow says how often, how much, when, who and an example', () => {
  const [flow] = [{ ...refused, example: { ...amounts.example, node_id: 'n1' }, openers: ['llm'] }]
  expect(flowLines([flow]).join(' ').replaceAll(/\s+#?\s*/g, ' ')).toContain(
    '1,234 connections, 4.8 MiB out and 12 B back, 1970-01-01 00:00:00 to 01:00:00 UTC, in 2 of 10 ' +
    'parts of the range. By llm; to 10.0.0.1. Such as event 7 of n1.')
})

it('what is too long for a line becomes a list', () => {
  const cidrs = Array.from({ length: 20 }, (_, i) => `10.0.${i}.0/24`)
  const lines = zoneLines([{ name: 'a', exposure: 'public', match: { cidrs }, evidence: [],
    unwatched: false }])
  expect(lines.filter((line) => line.startsWith('        - 10.'))).toHaveLength(20)
  expect(lines.every((line) => line.length <= 100)).toBe(true)
})

it('a hundred refusals are told, and the rest is counted', () => {
  const lines = refusedLines(Array.from({ length: 130 }, () => refused))
  expect(lines.at(-1)).toBe('# 30 more are not listed; --output json lists all.')
  expect(refusedLines([])).toEqual([])
})
