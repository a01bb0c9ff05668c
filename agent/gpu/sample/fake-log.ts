// For tests: /dev/kmsg as its reader sees it.

import type { LogFile } from '../kmsg.ts'

/** Records and errors in the order in which they will be read; then it is empty. */
export class FakeLog implements LogFile {
  readonly #queue: (string | Error)[] = []
  #sequence = 0
  closed = false

  /** A message with the next number. */
  say(text: string, { priority = 6, time_us = 1_000_000 + this.#sequence } = {}): void {
    this.raw(`${priority},${++this.#sequence},${time_us},-;${text}\n`)
  }

  /** A record as it is. */
  raw(record: string): void {
    const number = /^\d+,(\d+),/.exec(record)?.[1]
    if (number) this.#sequence = Number(number)
    this.#queue.push(record)
  }

  /** The next read fails. */
  fail(code: string): void {
    this.#queue.push(Object.assign(new Error(code), { code }))
  }

  /** Messages that were overwritten. */
  skip(count: number): void {
    this.#sequence += count
    this.fail('EPIPE')
  }

  read(buffer: Buffer): number {
    const next = this.#queue.shift() ?? Object.assign(new Error('EAGAIN'), { code: 'EAGAIN' })
    if (next instanceof Error) throw next
    return buffer.write(next, 'latin1')
  }

  close(): void { this.closed = true }
}
