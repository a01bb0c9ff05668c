import { describe, expect, it } from 'vitest'
import { UsualTable } from './usual.ts'
import type { Reading } from './usual.ts'
import { isThin, isUsualHour } from './usual-words.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const START_MS = Date.parse('2030-01-01T00:00:00Z')
const GIB = 2 ** 30
/** What a detector may use. */
const FACTOR = 4

/** The same numbers every time, 0 to 1. */
function numbers(seed: number): () => number {
  let state = seed
  return () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32
}

type Note = Reading & { workloadClass: string; store: string }

function note(atMs: number, bytes: number, of: Partial<Note> = {}): Note {
  return {
    workloadClass: 'ml Job/resnet', store: 'imagenet', timeMs: START_MS + atMs, bytes, files: 100,
    bytesPerSecond: bytes / 60, program: 'python', ...of,
  }
}

function tableOf(notes: readonly Note[], pairsMax?: number): UsualTable {
  const table = new UsualTable({ pairsMax })
  for (const one of notes) table.note(one.workloadClass, one.store, one)
  return table
}

/** A day of training: two epochs in bursts, an evaluation, the checkpoint loaded first. */
function trainingDay(day: number, next: () => number): Note[] {
  const notes: Note[] = []
  const burst = (hour: number, minutes: number, gib: number, of: Partial<Note> = {}) => {
    for (let minute = 0; minute < minutes; minute++) {
      const bytes = gib * GIB / minutes * (0.5 + next())
      notes.push(note(day * DAY_MS + hour * HOUR_MS + minute * 60_000, bytes, of))
    }
  }
  burst(8, 3, 40, { store: 'checkpoints', files: 4 })
  burst(9, 60, 150, { files: 1_200_000 })
  burst(11, 10, 8, { files: 50_000 })
  burst(14, 60, 150, { files: 1_200_000 })
  // Once a week the data set is packed anew: all of it is read, at once.
  if (day % 7 === 6) burst(18, 20, 600, { files: 1_281_167 })
  return notes
}

function thirtyDays(): Note[] {
  const next = numbers(5)
  return Array.from({ length: 30 }, (_, day) => trainingDay(day, next)).flat()
}

describe('thirty days of training', () => {
  const days = thirtyDays()

  it('give the same, however often', () => {
    const of = () => JSON.stringify([...tableOf(days).all()])
    expect(of()).toBe(of())
    expect([...tableOf(days).all()]).toMatchObject([
      { store: 'checkpoints', usual: { days: 29 } }, { store: 'imagenet', usual: { days: 29 } },
    ])
  })

  it('hold the bursts that training makes: none of the next days stands out', () => {
    const table = tableOf(days)
    const next = numbers(99)
    const above: string[] = []
    for (let day = 30; day < 60; day++) {
      for (const one of trainingDay(day, next)) {
        table.note(one.workloadClass, one.store, one)
        const usual = table.of(one.workloadClass, one.store)!
        expect(isThin(usual, { days: 7, reports: 50 })).toBe(false)
        if (usual.bytesToday > FACTOR * usual.bytesPerDay) above.push(`day ${day}: ${one.store}`)
        if (usual.bytesThisHour > FACTOR * usual.bytesPerHour) above.push(`hour ${day}: ${one.store}`)
        if (one.files > FACTOR * usual.files) above.push(`files ${day}: ${one.store}`)
        if (one.bytesPerSecond > FACTOR * usual.bytesPerSecond) above.push(`rate ${day}`)
        if (!isUsualHour(usual, one.timeMs)) above.push(`time ${day}`)
      }
    }
    expect(above).toEqual([])
  })

  it('let a bulk read stand out, by the day, the hour, the files and the time of day', () => {
    const table = tableOf(days)
    const at = 30 * DAY_MS + 3 * HOUR_MS
    const store = 'checkpoints'
    for (let minute = 0; minute < 30; minute++) {
      table.note('ml Job/resnet', store, note(at + minute * 60_000, 100 * GIB, { files: 400 }))
    }
    const usual = table.of('ml Job/resnet', store)!
    expect(usual.bytesToday).toBeGreaterThan(FACTOR * usual.bytesPerDay)
    expect(usual.bytesThisHour).toBeGreaterThan(FACTOR * usual.bytesPerHour)
    expect(400).toBeGreaterThan(FACTOR * usual.files)
    expect(isUsualHour(usual, START_MS + at)).toBe(false)
  })

  it('are not spoiled by one day of an intruder, and follow what stays', () => {
    const mild = Array.from({ length: 30 }, (_, day) => note(day * DAY_MS, day === 20 ? 100 * GIB : GIB))
    const spoiled = tableOf([...mild, note(30 * DAY_MS, 1)]).of('ml Job/resnet', 'imagenet')!
    expect(spoiled.bytesPerDay).toBe(GIB)
    const grown = Array.from({ length: 10 }, (_, day) => note((30 + day) * DAY_MS, 64 * GIB))
    expect(tableOf([...mild, ...grown]).of('ml Job/resnet', 'imagenet')!.bytesPerDay).toBeGreaterThanOrEqual(64 * GIB)
  })

  it('forget what was usual once: of two periods of fifteen days nothing older counts', () => {
    const once = Array.from({ length: 15 }, (_, day) => note(day * DAY_MS, 64 * GIB))
    const since = Array.from({ length: 45 }, (_, day) => note((15 + day) * DAY_MS, GIB))
    expect(tableOf([...once, ...since]).of('ml Job/resnet', 'imagenet')).toMatchObject({
      bytesPerDay: GIB, days: 59, bytes: 15 * 64 * GIB + 44 * GIB,
    })
    const pause = [...once, note(400 * DAY_MS, 1)]
    expect(tableOf(pause).of('ml Job/resnet', 'imagenet')).toMatchObject({ bytesPerDay: 64 * GIB, days: 15 })
  })
})

describe('a report', () => {
  it('counts for the day that runs, and is no part of what is usual before that is over', () => {
    const table = tableOf([note(0, GIB)])
    expect(table.of('ml Job/resnet', 'imagenet')).toEqual({
      bytesPerDay: 0, bytesPerHour: 0, files: 0, bytesPerSecond: 0, hours: 0, days: 0, reports: 1,
      firstMs: START_MS, lastMs: START_MS, bytes: 0, bytesToday: GIB, bytesThisHour: GIB,
    })
    table.note('ml Job/resnet', 'imagenet', note(HOUR_MS, 1))
    expect(table.of('ml Job/resnet', 'imagenet')).toMatchObject({ hours: 1, bytesToday: GIB + 1, bytesThisHour: 1 })
    expect(table.of('ml Job/resnet', 'other')).toBe(null)
    expect(table.of('other', 'imagenet')).toBe(null)
  })

  it('that comes late counts as if it came in order', () => {
    const usual = tableOf([note(DAY_MS, GIB), note(0, GIB)]).of('ml Job/resnet', 'imagenet')
    expect(usual).toMatchObject({ days: 0, bytesToday: 2 * GIB, lastMs: START_MS + DAY_MS })
  })

  it('of more stores than there is room for is refused and counted', () => {
    const table = tableOf(Array.from({ length: 1030 }, (_, i) => note(0, 1, { store: `s${i}` })))
    expect([table.size, table.refused]).toEqual([1024, 6])
    expect(table.note('c', 's1029', note(0, 1))).toBe(null)
    expect(table.note('c', 's5', note(0, 1))).toEqual({ isFirst: true, isNewProgram: true })
  })

  it('says since when its store is known, and of how many classes', () => {
    const table = tableOf([note(5 * DAY_MS, 1), note(6 * DAY_MS, 1, { workloadClass: 'other' }), note(7 * DAY_MS, 1)])
    expect(table.store('imagenet')).toMatchObject({ firstMs: START_MS + 5 * DAY_MS, classes: 2 })
    expect(table.store('weights')).toBe(null)
  })
})

describe('merging', () => {
  /** Notes of some classes and stores over two months, in order. */
  function some(seed: number): Note[] {
    const next = numbers(seed)
    const start = Math.floor(next() * 60) * DAY_MS
    return Array.from({ length: 120 }, (_, i) => note(start + i * next() * 8 * HOUR_MS, Math.floor(next() ** 4 * GIB), {
      workloadClass: `c${Math.floor(next() * 3)}`, store: `s${Math.floor(next() * 2)}`,
      files: Math.floor(next() * 1000), program: `p${Math.floor(next() * 9)}`,
    })).sort((a, b) => a.timeMs - b.timeMs)
  }

  const contentOf = (table: UsualTable) => [...table.all()]
    .sort((a, b) => `${a.workloadClass} ${a.store}` < `${b.workloadClass} ${b.store}` ? -1 : 1)
  const merged = (...parts: Note[][]) => {
    const all = new UsualTable()
    for (const part of parts) all.merge(tableOf(part))
    return all
  }
  const nested = (first: Note[], ...rest: Note[][]) => {
    const all = tableOf(first)
    all.merge(merged(...rest))
    return all
  }

  it('is the same in any order and any nesting', () => {
    for (let seed = 1; seed <= 40; seed++) {
      const [a, b, c] = [some(seed), some(seed + 100), some(seed + 200)]
      const whole = contentOf(merged(a, b, c))
      expect(whole.length).toBeGreaterThan(3)
      expect(contentOf(nested(a, b, c))).toEqual(whole)
      expect(contentOf(nested(c, b, a))).toEqual(whole)
      expect(contentOf(merged(b, c, a))).toEqual(whole)
    }
  })

  it('adds up what each of them saw, and goes on afterwards', () => {
    const half = (from: number) => Array.from({ length: 10 }, (_, day) => note((from + day) * DAY_MS, GIB))
    const both = merged(half(0), half(10))
    expect(both.of('ml Job/resnet', 'imagenet')).toMatchObject({
      days: 20, reports: 20, bytes: 20 * GIB, bytesPerDay: GIB, bytesToday: 0, firstMs: START_MS,
      lastMs: START_MS + 19 * DAY_MS,
    })
    both.note('ml Job/resnet', 'imagenet', note(20 * DAY_MS, 3 * GIB))
    expect(both.of('ml Job/resnet', 'imagenet')).toMatchObject({ days: 20, bytesToday: 3 * GIB })
    both.note('ml Job/resnet', 'imagenet', note(21 * DAY_MS, 1))
    expect(both.of('ml Job/resnet', 'imagenet')).toMatchObject({ days: 21, bytes: 23 * GIB })
  })

  it('with an empty table changes nothing but the day that runs, which is over then', () => {
    const table = tableOf(some(3))
    table.merge(new UsualTable())
    expect(contentOf(table)).toEqual(contentOf(merged(some(3))))
  })
})

describe('bounds', () => {
  it('hold: who has not read for longest leaves, counted, and the others keep what they learned', () => {
    const table = new UsualTable({ pairsMax: 160 })
    for (let i = 0; i < 161; i++) {
      table.note(`c${i}`, 's', note(i * 60_000, 1))
      // The first ten go on reading.
      if (i % 16 === 15) for (let j = 0; j < 10; j++) table.note(`c${j}`, 's', note(i * 60_000, 1))
    }
    expect([table.size, table.evictions]).toEqual([151, 10])
    const known = (i: number) => table.of(`c${i}`, 's') !== null
    expect([0, 9, 10, 19, 20, 160].map(known)).toEqual([true, true, false, false, true, true])
    expect(table.of('c0', 's')!.reports).toBe(11)
    expect(table.store('s')!.classes).toBe(151)
  })

  it('free the names of stores that nobody has read for longest', () => {
    const table = new UsualTable({ pairsMax: 1024 })
    for (let i = 0; i < 3000; i++) table.note('c', `s${i}`, note(i * 60_000, 1))
    expect(table.refused).toBe(0)
    expect(table.of('c', 's2999')).not.toBe(null)
  })

  it('keep a million pairs, of ten thousand classes and a hundred stores, below 100 MiB', () => {
    const table = new UsualTable()
    const [classes, stores] = [10_000, 100]
    const names = Array.from({ length: classes }, (_, i) => `tenant-${i % 50} Deployment/service-${i}`)
    const reading = note(0, GIB)
    for (const [i, name] of names.entries()) {
      reading.timeMs = START_MS + i * 1000
      for (let j = 0; j < stores; j++) table.note(name, `store-${j}`, reading)
    }
    expect([table.size, table.evictions]).toEqual([classes * stores, 0])
    const namesBytes = names.reduce((sum, { length }) => sum + 2 * length + 100, 0)
    expect((table.bytes + namesBytes) / table.size).toBeLessThanOrEqual(104.8576)
    expect(table.bytes / table.size).toBeGreaterThan(80)
    expect(table.of(names[9999], 'store-99')).toMatchObject({ reports: 1, bytesToday: GIB })
    table.note('one more', 'store-0', reading)
    expect([table.size, table.evictions]).toEqual([1_000_000 - 62_500 + 1, 62_500])
    expect([table.of(names[624], 'store-99'), table.of(names[625], 'store-0')?.reports]).toEqual([null, 1])
  }, 60_000)
})

describe('a snapshot', () => {
  it('goes on as if nothing had happened', () => {
    const days = thirtyDays()
    const whole = tableOf(days, 4096)
    const half = tableOf(days.slice(0, 2000), 4096)
    const again = new UsualTable({ pairsMax: 4096 })
    again.restore(structuredClone(half.snapshot()))
    expect(again.snapshot()).toEqual(half.snapshot())
    for (const one of days.slice(2000)) again.note(one.workloadClass, one.store, one)
    expect(again.snapshot()).toEqual(whole.snapshot())
  })
})
