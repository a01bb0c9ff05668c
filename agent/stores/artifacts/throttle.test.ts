import { expect, it } from 'vitest'
import { Throttle } from './throttle.ts'

const dayMs = 86_400_000

function open(bytesPerSecond: number, bytesPerDay: number) {
  let now = 0
  const slept: number[] = []
  const throttle = new Throttle({
    bytesPerSecond, bytesPerDay, nowMs: () => now,
    sleep: async (milliseconds) => {
      slept.push(milliseconds)
      now += milliseconds
    },
  })
  return { throttle, slept, pass: (milliseconds: number) => { now += milliseconds }, now: () => now }
}

it('lets no more through than its bytes per second, after the first second', async () => {
  const { throttle, now } = open(1000, 1e9)
  for (let i = 0; i < 100; i++) await throttle.wait(250)
  // 25,000 bytes, of which the first 1000 were there.
  expect(now()).toBeGreaterThanOrEqual(24_000)
  expect(now()).toBeLessThan(24_200)
})

it('does not save up for more than a second', async () => {
  const { throttle, slept, pass } = open(1000, 1e9)
  pass(60_000)
  await throttle.wait(1000)
  expect(slept).toEqual([])
  await throttle.wait(1000)
  expect(slept).toEqual([1000])
})

it('lets a part through that is larger than a second has, and does not wait for ever', async () => {
  const { throttle, slept } = open(1000, 1e9)
  await throttle.wait(1_000_000)
  await throttle.wait(1_000_000)
  expect(slept).toEqual([1000])
})

it('begins no file that is more than is left of the day, and counts what was not read', () => {
  const { throttle, pass } = open(1000, 1000)
  expect(throttle.begin(1001)).toBe(false)
  expect(throttle.begin(900)).toBe(true)
  expect(throttle.begin(200)).toBe(false)
  throttle.giveBack(100)
  expect(throttle.begin(200)).toBe(true)
  expect(throttle.begin(500)).toBe(false)
  pass(dayMs / 2)
  expect(throttle.begin(500)).toBe(true)
  expect(throttle.begin(1)).toBe(false)
})
