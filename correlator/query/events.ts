/** Query.Events: a range of the log as JSON lines, and then, when asked, what comes. */
import type { ServerWritableStream } from '@grpc/grpc-js'
import { setImmediate } from 'node:timers/promises'
import { decodeEnvelope, openBatch } from '../../proto/batch.ts'
import type { BatchEnvelope } from '../../proto/batch.ts'
import { BatchCursor } from '../../proto/batch-cursor.ts'
import type { Event } from '../../proto/batch-cursor.ts'
import { kindInfos } from '../../proto/gen/events.ts'
import type { EventLog } from '../event-log.ts'
import type { EventsRequest, JsonLines } from '../grpc.ts'
import type { Metrics } from '../metrics.ts'
import type { EventZoner } from './event-zones.ts'
import type { Signal } from './follow.ts'
import { writeLines } from './follow.ts'
import { firstPositionSince } from './since.ts'

type Call = ServerWritableStream<EventsRequest, JsonLines>

export interface EventsOptions {
  log: EventLog
  stored: Signal
  /** The zones of the policy in force. */
  zoner(): EventZoner
  metrics: Metrics
}

const LINES_MAX = 256
/** A follower this many batches behind gets a line that says so, and goes on with the newest. */
const LAG_MAX = 512

/** Why the request cannot be answered, in words; null when it can. */
export function eventsRequestProblem(request: EventsRequest): string | null {
  const unknown = request.kinds.filter((kind) => !kindInfos.some((info) => info.kind === kind))
  if (unknown.length > 0) {
    const known = kindInfos.map(({ kind }) => kind).join(', ')
    return `no such kind: ${unknown.join(', ').slice(0, 200)}; there are ${known}`
  }
  if (request.to_ms > 0 && request.to_ms < request.from_ms) return 'the range ends before it begins'
  return null
}

/** Answers a request that was checked. Resolves when all is written or nobody reads any longer. */
export async function answerEvents(call: Call, options: EventsOptions): Promise<void> {
  await new EventsAnswer(call, options).run()
}

class EventsAnswer {
  readonly #call: Call
  readonly #options: EventsOptions
  readonly #wanted: Wanted
  readonly #cursor = new BatchCursor()
  #next: number
  #left: number
  /** Whether all that was there at the beginning was sent: from then on it is a live feed. */
  #live = false

  constructor(call: Call, options: EventsOptions) {
    const { request } = call
    this.#call = call
    this.#options = options
    this.#wanted = new Wanted(request)
    this.#left = request.limit === 0 ? Infinity : request.limit
    const fromNow = request.follow && request.from_ms === 0
    const { log } = options
    this.#next = fromNow ? log.synced + 1 : firstPositionSince(log.dir, request.from_ms)
    this.#live = fromNow
  }

  async run(): Promise<void> {
    const { follow } = this.#call.request
    for (;;) {
      const news = this.#options.stored.next(this.#call)
      if (!await this.#sendStored() || !follow || this.#left === 0) break
      this.#live = true
      if (this.#next > this.#options.log.synced) await news
      if (this.#call.cancelled || this.#call.destroyed) break
    }
  }

  /** Sends what is durable. False when nobody reads any longer. */
  async #sendStored(): Promise<boolean> {
    const { log, metrics } = this.#options
    const lost: string[] = []
    const onProblem = (problem: { what: string, position: number }): void => void lost.push(
      JSON.stringify({ missed: problem.what, missed_position: problem.position }))
    for (const { position, payload } of log.read({ from: this.#next, onProblem })) {
      if (!await this.#sendBatch(payload)) return false
      this.#next = position + 1
      if (lost.length > 0 && !await writeLines(this.#call, lost.splice(0))) return false
      if (this.#left === 0) return true
      const behind = log.synced - position
      if (this.#live && behind > LAG_MAX) {
        metrics.missedByFollowers.inc(behind)
        this.#next = log.synced + 1
        return writeLines(this.#call, [JSON.stringify({
          missed: 'events were not sent because they were read too slowly',
          missed_batches: behind, missed_position: position + 1,
        })])
      }
      await setImmediate()
    }
    return true
  }

  async #sendBatch(payload: Buffer): Promise<boolean> {
    const envelope = decodeEnvelope(payload)
    if (!this.#wanted.mayHold(envelope)) return true
    const zoner = this.#options.zoner()
    const all: string[] = []
    this.#cursor.forEach(openBatch(envelope), (event) => {
      if (this.#left === 0 || !this.#wanted.event(event)) return
      this.#left--
      all.push(JSON.stringify(zoner.json(event)))
    })
    for (let i = 0; i < all.length; i += LINES_MAX) {
      if (!await writeLines(this.#call, all.slice(i, i + LINES_MAX))) return false
    }
    return true
  }
}

/** What a request asks for. */
class Wanted {
  readonly #kinds: Set<string>
  readonly #numbers: Set<number>
  readonly #nodes: Set<string>
  readonly #fromMs: number
  readonly #toMs: number

  constructor(request: EventsRequest) {
    this.#kinds = new Set(request.kinds)
    const kinds = kindInfos.filter(({ kind }) => this.#kind(kind))
    this.#numbers = new Set(kinds.map(({ number }) => number))
    this.#nodes = new Set(request.node_ids)
    this.#fromMs = request.from_ms
    this.#toMs = request.to_ms === 0 ? Infinity : request.to_ms
  }

  event({ kind, time_ms: timeMs }: Event): boolean {
    return this.#kind(kind) && timeMs >= this.#fromMs && timeMs <= this.#toMs
  }

  #kind(kind: string): boolean {
    return this.#kinds.size === 0 || this.#kinds.has(kind)
  }

  /** Whether a batch can hold something of it; known without decompressing it. */
  mayHold(envelope: BatchEnvelope): boolean {
    const { first_time, last_time, clock_offset_ns } = envelope
    const firstMs = Number(first_time + clock_offset_ns) / 1e6
    const lastMs = Number(last_time + clock_offset_ns) / 1e6
    return lastMs >= this.#fromMs && firstMs <= this.#toMs + 1
      && (this.#nodes.size === 0 || this.#nodes.has(envelope.node_id))
      && envelope.kinds.some((number) => this.#numbers.has(number))
  }
}
