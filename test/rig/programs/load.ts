// Benign work: does each task of a plan an exact number of times, spread over a span, and says at
// the end what was done and what failed. Argument: {"tasks": [...], "span_s": N, "seed": N} as JSON.

import { setTimeout as sleep } from 'node:timers/promises'
import { exchange } from './exchange.ts'
import type { Exchange } from './exchange.ts'

export interface Task extends Exchange {
  name: string
  times: number
  /** Regularly, as monitoring does, or at random, as people do. */
  regular: boolean
}

/** What a load says when it ends. */
export interface LoadReport { done: Record<string, number>, failed: Record<string, string[]> }

const IN_FLIGHT_MAX = 64

const { tasks, span_s: spanS, seed } = JSON.parse(process.argv[2]!) as
  { tasks: Task[], span_s: number, seed: number }
const random = randomOf(seed)
const moments = tasks.flatMap((task) => Array.from({ length: task.times }, (_, i) => {
  const part = task.regular ? (i + 0.5) / task.times : random()
  return { task, atMs: part * spanS * 1000 }
})).sort((a, b) => a.atMs - b.atMs)

const report: LoadReport = { done: {}, failed: {} }
const inFlight = new Set<Promise<void>>()
process.stdout.write('ready\n')
const began = performance.now()
for (const { task, atMs } of moments) {
  await sleep(Math.max(0, began + atMs - performance.now()))
  while (inFlight.size >= IN_FLIGHT_MAX) await Promise.race(inFlight)
  const going: Promise<void> = exchange(task).then(() => {
    report.done[task.name] = (report.done[task.name] ?? 0) + 1
  }, (error: Error) => {
    (report.failed[task.name] ??= []).push(error.message)
  }).finally(() => inFlight.delete(going))
  inFlight.add(going)
}
await Promise.all(inFlight)
process.stdout.write(`${JSON.stringify(report)}\n`)

/** Mulberry32: the same seed gives the same load. */
function randomOf(start: number): () => number {
  let state = start >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
