/** What waits for one Alertmanager. It has its own pace: a slow instance delays no other. */
import type { Counter } from 'prom-client'
import { messageOf } from '../errors.ts'
import type { AlertBody } from './alert-body.ts'

/** An alert to be delivered; a newer one with the same key takes its place. */
export interface Outgoing {
  key: string
  /** Made at the time of sending, so that its times are fresh. */
  body(): AlertBody
  /** Called when this instance has it. */
  delivered(): void
}

export interface OutboxOptions {
  /** Base URL of the instance. User and password in it become basic authentication. */
  url: string
  pendingMax: number
  /** An alert that could not be delivered for so long is given up. */
  giveUpMs: number
  timeoutMs: number
  /** First wait after a failure; doubles up to 30 s. */
  backoffMs: number
  sent: Counter<'alertmanager'>
  undelivered: Counter<'alertmanager'>
  failures: Counter<'alertmanager'>
  report(line: string): void
}

interface Waiting { outgoing: Outgoing; sinceMs: number }
type Answer = { ok: true } | { ok: false, refused: boolean, what: string }

const BATCH_MAX = 100
const BACKOFF_MAX_MS = 30_000

/** Delivers in the order of arrival, several at once, until it has worked or is given up. */
export class Outbox {
  readonly instance: string
  readonly #options: OutboxOptions
  readonly #endpoint: string
  readonly #headers: Record<string, string>
  readonly #waiting = new Map<string, Waiting>()
  readonly #stop = new AbortController()
  #running: Promise<void> | null = null
  #failed = 0
  #wake: (() => void) | null = null

  constructor(options: OutboxOptions) {
    this.#options = options
    const url = new URL(options.url)
    this.#headers = { 'content-type': 'application/json' }
    if (url.username !== '') {
      const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`
      this.#headers['authorization'] = `Basic ${Buffer.from(pair).toString('base64')}`
      url.username = url.password = ''
    }
    this.instance = url.host
    this.#endpoint = `${url.href.replace(/\/+$/, '')}/api/v2/alerts`
    options.sent.inc({ alertmanager: this.instance }, 0)
    options.undelivered.inc({ alertmanager: this.instance }, 0)
    options.failures.inc({ alertmanager: this.instance }, 0)
  }

  get pending(): number { return this.#waiting.size }

  /** Takes an alert. When too many wait, the oldest is given up and counted. */
  put(outgoing: Outgoing): void {
    const before = this.#waiting.get(outgoing.key)
    if (before === undefined && this.#waiting.size >= this.#options.pendingMax) {
      const [oldest] = this.#waiting.keys()
      this.#giveUp(oldest, `more than ${this.#options.pendingMax} alerts wait`)
    }
    this.#waiting.set(outgoing.key, { outgoing, sinceMs: before?.sinceMs ?? Date.now() })
    this.#running ??= this.#run()
  }

  /** Waits for what is on its way for at most `graceMs`, then stops. */
  async close(graceMs: number): Promise<void> {
    const timer = setTimeout(() => this.#abort(), graceMs)
    if (this.#failed > 0) this.#abort()
    await this.#running
    clearTimeout(timer)
    this.#abort()
  }

  #abort(): void {
    this.#stop.abort()
    this.#wake?.()
  }

  async #run(): Promise<void> {
    // What comes in the same turn goes out together.
    await new Promise(setImmediate)
    while (this.#waiting.size > 0 && !this.#stop.signal.aborted) {
      const batch = [...this.#waiting.values()].slice(0, BATCH_MAX)
      const answer = await this.#post(batch)
      if (answer.ok) this.#done(batch)
      else if (answer.refused && batch.length > 1) await this.#postSingly(batch)
      else if (answer.refused) this.#remove(batch[0], answer.what)
      else await this.#later(answer.what)
    }
    this.#running = null
  }

  /** One bad alert makes Alertmanager refuse all with 400, though it keeps the good ones. */
  async #postSingly(batch: Waiting[]): Promise<void> {
    for (const waiting of batch) {
      const answer = await this.#post([waiting])
      if (answer.ok) this.#done([waiting])
      else if (answer.refused) this.#remove(waiting, answer.what)
      else return this.#later(answer.what)
    }
  }

  async #post(batch: Waiting[]): Promise<Answer> {
    const { timeoutMs } = this.#options
    try {
      const response = await fetch(this.#endpoint, {
        method: 'POST',
        headers: this.#headers,
        body: JSON.stringify(batch.map(({ outgoing }) => outgoing.body())),
        signal: AbortSignal.any([this.#stop.signal, AbortSignal.timeout(timeoutMs)]),
      })
      const text = await response.text()
      if (response.ok) return { ok: true }
      const what = `HTTP ${response.status}: ${text.slice(0, 300)}`
      return { ok: false, refused: response.status === 400, what }
    } catch (error) {
      const { cause } = error as Error
      const what = `${messageOf(error)}${cause === undefined ? '' : `: ${messageOf(cause)}`}`
      return { ok: false, refused: false, what }
    }
  }

  #done(batch: Waiting[]): void {
    if (this.#failed > 0) this.#options.report(`alertmanager ${this.instance}: takes alerts again`)
    this.#failed = 0
    this.#options.sent.inc({ alertmanager: this.instance }, batch.length)
    for (const waiting of batch) {
      this.#forget(waiting)
      waiting.outgoing.delivered()
    }
  }

  async #later(what: string): Promise<void> {
    const { failures, giveUpMs, backoffMs, report } = this.#options
    if (this.#stop.signal.aborted) return
    failures.inc({ alertmanager: this.instance })
    if (this.#failed++ === 0) report(`alertmanager ${this.instance}: ${what}; trying again`)
    const oldest = Date.now() - giveUpMs
    for (const [key, { sinceMs }] of this.#waiting) if (sinceMs < oldest) this.#giveUp(key, what)
    const waitMs = Math.min(BACKOFF_MAX_MS, backoffMs * 2 ** Math.min(this.#failed - 1, 16))
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, waitMs)
      this.#wake = () => { clearTimeout(timer); resolve() }
    })
    this.#wake = null
  }

  #remove(waiting: Waiting, what: string): void {
    this.#forget(waiting)
    this.#count(waiting.outgoing.key, what)
  }

  // Unless a newer one took its place while it was on its way.
  #forget(waiting: Waiting): void {
    const { key } = waiting.outgoing
    if (this.#waiting.get(key) === waiting) this.#waiting.delete(key)
  }

  #giveUp(key: string, what: string): void {
    this.#waiting.delete(key)
    this.#count(key, what)
  }

  #count(key: string, what: string): void {
    this.#options.undelivered.inc({ alertmanager: this.instance })
    this.#options.report(`alertmanager ${this.instance}: alert ${key} is undelivered: ${what}`)
  }
}
