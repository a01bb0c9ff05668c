import { expect, it } from 'vitest'
import { UsualTable } from '../../stores/usual.ts'
import { usualLines } from './usual-json.ts'

const DAY_MS = 86_400_000

function table(): UsualTable {
  const usual = new UsualTable()
  const reading = { bytes: 1000, files: 3, bytesPerSecond: 200, program: '/opt/train' }
  for (let day = 0; day < 8; day++) {
    for (let i = 0; i < 20; i++) usual.note('train', 'imagenet', { ...reading, timeMs: day * DAY_MS + i * 60_000 })
  }
  usual.note('etl', 'imagenet', { ...reading, timeMs: 2 * DAY_MS })
  usual.note('train', 'llm', { ...reading, timeMs: 3 * DAY_MS })
  return usual
}

it('tells what is usual of each pair, with its hours and how much was seen', () => {
  const [first, second] = usualLines(table(), 0, [])
  expect(first).toEqual({
    store: 'imagenet', workload_class: 'train', bytes: 140_000, bytes_today: 20_000, bytes_this_hour: 20_000,
    usual_bytes_per_day: 32_768, usual_bytes_per_hour: 32_768, usual_files: 4, usual_bytes_per_second: 256,
    usual_hours: [0], days: 7, reports: 160, thin: false, seen: 'seen on 7 days in 160 reports',
    first_read: '1970-01-01T00:00:00.000Z', last_read: '1970-01-08T00:19:00.000Z',
  })
  expect(second).toMatchObject({ workload_class: 'etl', thin: true, days: 0, usual_hours: [], usual_bytes_per_day: 0 })
})

it('tells only of who read since a time, and of the stores that are asked for', () => {
  const pairs = (fromMs: number, stores: string[]) =>
    [...usualLines(table(), fromMs, stores)].map(({ store, workload_class }) => `${workload_class} ${store}`)
  expect(pairs(0, [])).toEqual(['train imagenet', 'etl imagenet', 'train llm'])
  expect(pairs(3 * DAY_MS, [])).toEqual(['train imagenet', 'train llm'])
  expect(pairs(3 * DAY_MS + 59_999, ['llm'])).toEqual(['train llm'])
  expect(pairs(0, ['moon'])).toEqual([])
})
