// All objects of one kind, kept up to date: a list, then a watch from there on, for ever.

import { setTimeout as sleep } from 'node:timers/promises'
import { KubernetesError } from './errors.ts'
import { JsonLines } from './json-lines.ts'
import type { Client } from './request.ts'

export interface WatchOptions<T> {
  client: Client
  /** Such as /api/v1/pods. */
  path: string
  /** Such as { fieldSelector: 'spec.nodeName=gpu-07' }. */
  query?: Record<string, string>
  /** What is kept of an object; null: nothing. Objects come as the API server sends them. */
  keep(object: unknown): { key: string, value: T } | null
  /** Told of every difference; undefined: it is gone. */
  changed(key: string, value: T | undefined): void
  /** Most objects kept; what is beyond is counted in `left`. */
  entriesMax: number
  /** Told once per trouble, and when it is over. */
  complain(error: KubernetesError): void
  recovered(): void
  /** Bounds of the pauses between attempts. */
  backoffMs?: { min: number, max: number }
}

const pageObjects = 500
/** The server ends a watch after this time; the next one goes on from there. */
const watchSeconds = 300
const watchShortMs = 1000

interface ListPage {
  metadata?: { resourceVersion?: string, continue?: string }
  items?: unknown[]
}
interface WatchEvent { type?: string, object?: unknown }

/** Runs from `start` to `stop`. Never throws: while the API is away, what is known stays. */
export class Watch<T> {
  /** Times that an object did not fit; never set back. */
  left = 0
  /** Lines of the server that could not be read. */
  malformed = 0
  /** Times that everything was listed. */
  lists = 0
  readonly #options: WatchOptions<T>
  readonly #known = new Map<string, { value: T, text: string }>()
  readonly #stopping = new AbortController()
  #running: Promise<void> = Promise.resolve()
  #version = ''
  #troubled = false

  constructor(options: WatchOptions<T>) {
    this.#options = options
  }

  get size(): number { return this.#known.size }

  get(key: string): T | undefined { return this.#known.get(key)?.value }

  values(): IterableIterator<T> {
    return [...this.#known.values()].map(({ value }) => value).values()
  }

  start(): void {
    this.#running = this.#run()
  }

  /** Resolves when nothing more is asked or told. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    for (let failures = 0; !signal.aborted;) {
      try {
        if (this.#version === '') await this.#list()
        const beganMs = Date.now()
        await this.#watch()
        // A server that ends every watch at once must not be asked without end.
        failures = Date.now() - beganMs < watchShortMs ? failures + 1 : 0
      } catch (error) {
        if (signal.aborted) return
        failures++
        this.#trouble(error)
      }
      if (failures > 0) await this.#pause(failures)
    }
  }

  #trouble(error: unknown): void {
    const known = error instanceof KubernetesError ? error
      : new KubernetesError('KUBERNETES_UNREACHABLE', `${this.#options.path}: the answer broke off`,
        0, error)
    // 410 Gone: what we go on from is forgotten there. That is the ordinary course of things.
    if (known.status === 410) {
      this.#version = ''
      return
    }
    if (!this.#troubled) this.#options.complain(known)
    this.#troubled = true
  }

  async #pause(failures: number): Promise<void> {
    const { min, max } = this.#options.backoffMs ?? { min: 500, max: 30_000 }
    const wholeMs = Math.min(max, min * 2 ** Math.min(failures - 1, 16))
    // At least half: the agents of a cluster must not come back in step.
    const pauseMs = wholeMs / 2 + Math.random() * wholeMs / 2
    await sleep(pauseMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined)
  }

  async #list(): Promise<void> {
    const { client, path, query } = this.#options
    const seen = new Set<string>()
    let next = ''
    let version = ''
    this.lists++
    do {
      const page = await client.get(path, {
        ...query, limit: `${pageObjects}`, ...(next !== '' && { continue: next }),
      }, this.#stopping.signal) as ListPage | null
      if (!Array.isArray(page?.items)) {
        throw new KubernetesError('KUBERNETES_ANSWER', `${path} answered without a list`)
      }
      for (const object of page.items) {
        const key = this.#put(object)
        if (key !== null) seen.add(key)
      }
      version = page.metadata?.resourceVersion ?? ''
      next = page.metadata?.continue ?? ''
    } while (next !== '')
    for (const key of [...this.#known.keys()]) if (!seen.has(key)) this.#remove(key)
    this.#version = version
  }

  async #watch(): Promise<void> {
    const { client, path, query } = this.#options
    const response = await client.open(path, {
      ...query, watch: '1', allowWatchBookmarks: 'true', resourceVersion: this.#version,
      timeoutSeconds: `${watchSeconds}`,
    }, this.#stopping.signal, (watchSeconds + 30) * 1000)
    if (this.#troubled) this.#options.recovered()
    this.#troubled = false
    const lines = new JsonLines()
    try {
      for await (const chunk of response as AsyncIterable<Buffer>) {
        for (const event of lines.take(chunk)) this.#take(event as WatchEvent | null)
        if (lines.malformed > 0) break
      }
    } catch (error) {
      // Balancers cut what is quiet: the next watch goes on from here.
      if (error instanceof KubernetesError) throw error
    } finally {
      response.destroy()
    }
    if (lines.malformed === 0) return
    // What the line said is not known: ask for everything.
    this.malformed += lines.malformed
    this.#version = ''
  }

  #take(event: WatchEvent | null): void {
    const { type, object } = event ?? {}
    if (type === 'ERROR') {
      const { code = 0 } = object as { code?: number }
      throw new KubernetesError('KUBERNETES_ANSWER', `the watch of ${this.#options.path} ended`,
        code)
    }
    const { metadata } = (object ?? {}) as { metadata?: { resourceVersion?: string } }
    if (type === 'ADDED' || type === 'MODIFIED') this.#put(object)
    else if (type === 'DELETED') {
      const kept = this.#options.keep(object)
      if (kept !== null) this.#remove(kept.key)
    } else if (type !== 'BOOKMARK') return
    this.#version = metadata?.resourceVersion ?? this.#version
  }

  /** The key of what is kept now; null when nothing is. */
  #put(object: unknown): string | null {
    const { keep, changed, entriesMax } = this.#options
    const kept = keep(object)
    if (kept === null) return null
    const { key, value } = kept
    const known = this.#known.get(key)
    const text = JSON.stringify(value)
    if (known?.text === text) return key
    if (known === undefined && this.#known.size >= entriesMax) {
      this.left++
      return null
    }
    this.#known.set(key, { value, text })
    changed(key, value)
    return key
  }

  #remove(key: string): void {
    if (this.#known.delete(key)) this.#options.changed(key, undefined)
  }
}
