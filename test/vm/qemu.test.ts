import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { consoleExcerpt, guestFacts, lastLines, qemuWords, shellQuote } from './qemu.ts'

test('the ready line gives the facts, and what follows is the output of the job', () => {
  const line = 'vedette-guest-ready 6.50 6.1.0-56-amd64 present lockdown,bpf\n'
  const found = guestFacts(`${line}hello`)
  expect(found).toEqual({ rest: 'hello',
    facts: { uptime_s: 6.5, release: '6.1.0-56-amd64', btf: true, lsm: ['lockdown', 'bpf'] } })
})

test('a ready line that has not come whole gives nothing yet', () => {
  expect(guestFacts('vedette-guest-ready 6.50 6.1.0-56-amd64 pres')).toBeUndefined()
  expect(guestFacts('')).toBeUndefined()
})

test('noise of the firmware before the ready line is passed over', () => {
  const found = guestFacts('\x1bcSeaBIOS\r\nvedette-guest-ready 1.00 6.1 absent capability\r\n')
  expect(found?.facts.btf).toBe(false)
  expect(found?.rest).toBe('')
})

test('a quoted word comes through a shell as it was', () => {
  for (const word of ['', 'plain', "it's", '$(id) `id` \\ "x" *', 'two\nlines']) {
    expect(execFileSync('sh', ['-c', `printf %s ${shellQuote(word)}`]).toString()).toBe(word)
  }
})

test('the last lines of a console come without what a terminal would act on', () => {
  expect(lastLines('one\ntwo\x1b[31m red\x07\nthree\n\n', 2)).toBe('    two red\n    three')
})

test('a crash is shown from its first line, a quiet console from its end', () => {
  const crash = ['booting', 'sysrq: Trigger', 'Kernel panic - not syncing', 'Call Trace:', ' a']
  expect(consoleExcerpt(crash.join('\n'), 2))
    .toBe('    Kernel panic - not syncing\n    Call Trace:')
  expect(consoleExcerpt('one\ntwo\nthree', 2)).toBe('    two\n    three')
})

test('the root share is read-only and a comma in a path does not end it', () => {
  const kernel = { series: '6.1', release: '6.1.0', root: '/k' }
  const words = qemuWords(kernel, '/i', '/a,b')
  expect(words.filter((word) => word.includes('path=/,'))).toHaveLength(1)
  expect(words.find((word) => word.includes('path=/,'))).toContain('readonly=on')
  expect(words.find((word) => word.includes('id=out'))).toContain('path=/a,,b,')
})
