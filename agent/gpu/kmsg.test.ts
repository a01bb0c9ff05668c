import { describe, expect, it } from 'vitest'
import { FakeLog } from './sample/fake-log.ts'
import { KernelLog } from './kmsg.ts'
import type { KernelMessage } from './kmsg.ts'

function readAll(log: KernelLog): KernelMessage[] {
  const messages: KernelMessage[] = []
  while (log.read((message) => messages.push(message), 10));
  return messages
}

describe('the log of the kernel', () => {
  it('gives one message after the other, without what stands behind them', () => {
    const file = new FakeLog()
    file.say('NVRM: one', { time_us: 17 })
    file.raw('6,2,18,-;two; with; semicolons\n SUBSYSTEM=pci\n DEVICE=+pci:0000:1b:00.0\n')
    file.raw('4,3,19,c,caller=T1;three\n')
    const log = new KernelLog(file)
    expect(readAll(log)).toEqual([
      { priority: 6, sequence: 1, time_us: 17, text: 'NVRM: one' },
      { priority: 6, sequence: 2, time_us: 18, text: 'two; with; semicolons' },
      { priority: 4, sequence: 3, time_us: 19, text: 'three' },
    ])
    expect(readAll(log)).toEqual([])
    file.say('four')
    expect(readAll(log)).toMatchObject([{ sequence: 4, text: 'four' }])
    expect(log.lost).toBe(0)
  })

  it('believes the kernel only: what a program wrote has its facility', () => {
    const file = new FakeLog()
    for (const facility of [1, 3, 16, 255]) file.say('forged', { priority: facility * 8 + 4 })
    file.say('true', { priority: 7 })
    const log = new KernelLog(file)
    expect(readAll(log).map(({ text }) => text)).toEqual(['true'])
    expect(log.lost).toBe(0)
  })

  it('counts what was overwritten before it was read, once it knows where it is', () => {
    const file = new FakeLog()
    file.raw('6,1000,5,-;first that is still there\n')
    const log = new KernelLog(file)
    readAll(log)
    expect(log.lost).toBe(0)
    file.fail('EPIPE')
    file.raw('6,1501,6,-;after the gap\n')
    expect(readAll(log)).toMatchObject([{ sequence: 1501 }])
    expect(log.lost).toBe(500)
  })

  it('reads no more than it was told to in a turn, and steps over what it cannot read', () => {
    const file = new FakeLog()
    for (let i = 0; i < 25; i++) file.say(`line ${i}`)
    const log = new KernelLog(file)
    const seen: string[] = []
    expect(log.read(({ text }) => seen.push(text), 10)).toBe(true)
    expect(seen).toHaveLength(10)
    file.fail('EINVAL')
    for (const junk of ['', 'x', '6;1', '6,1', '6,-1,2,-;x', '99999999999,1,1,-;x']) file.raw(junk || ' ')
    file.say('good')
    while (log.read(({ text }) => seen.push(text), 10));
    expect(seen.slice(10)).toEqual([...Array.from({ length: 15 }, (_, i) => `line ${i + 10}`), 'good'])
  })

  it('throws what is no state of the log', () => {
    const file = new FakeLog()
    file.fail('EIO')
    expect(() => new KernelLog(file).read(() => {}, 1)).toThrow('EIO')
  })
})
