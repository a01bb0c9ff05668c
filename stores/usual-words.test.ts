import { describe, expect, it } from 'vitest'
import { UsualTable } from './usual.ts'
import { isThin, isUsualHour, seenInWords } from './usual-words.ts'

const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000

/** A table that saw so many days, each with so many reports from 9 o'clock on. */
function seen(days: number, reports: number) {
  const table = new UsualTable()
  for (let day = 0; day <= days; day++) {
    for (let i = 0; i < reports; i++) {
      const timeMs = day * DAY_MS + 9 * HOUR_MS + i * 60_000
      table.note('c', 's', { timeMs, bytes: 1, files: 1, bytesPerSecond: 1, program: 'p' })
    }
  }
  return table.of('c', 's')!
}

describe('what was seen', () => {
  it('is thin until there were days and reports enough', () => {
    expect([seen(6, 20), seen(7, 20), seen(7, 5), null].map((one) => isThin(one)))
      .toEqual([true, false, true, true])
    expect(isThin(seen(2, 2), { days: 2, reports: 6 })).toBe(false)
  })

  it('is told, and that it is thin', () => {
    expect(seenInWords(seen(7, 20))).toBe('seen on 7 days in 160 reports')
    expect(seenInWords(seen(1, 3))).toBe(
      'seen on 1 day in 6 reports, too little to say what is usual (7 days and 100 reports)')
    expect(seenInWords(null)).toMatch(/^seen on 0 days in 0 reports, too little/)
  })

  it('has hours, without the one that runs', () => {
    const usual = seen(3, 90)
    const at = (hour: number) => isUsualHour(usual, 99 * DAY_MS + hour * HOUR_MS)
    expect([8, 9, 10, 11, 33].map(at)).toEqual([false, true, true, false, true])
    expect(isUsualHour(seen(0, 1), 9 * HOUR_MS)).toBe(false)
  })
})
