// Stage 6, batch on disk → correlator: one stream at a time, again and again. What is not
// acknowledged stays in the spool.

import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { Client, credentials } from '@grpc/grpc-js'
import type { ChannelCredentials } from '@grpc/grpc-js'
import type { Clock } from './clock.ts'
import { AgentError } from './errors.ts'
import type { Spool } from './spool.ts'
import { envelopeOf } from './spool/store.ts'
import type { BatchEnvelope } from '../proto/batch.ts'
import { STORES_BYTES_MAX } from '../stores/rule-message.ts'
import type { StoresMessage } from '../stores/rule-message.ts'
import { backoffMs } from './uplink/backoff.ts'
import { Losses } from './uplink/losses.ts'
import { openCall } from './uplink/messages.ts'
import { isAboutBatch, Session } from './uplink/session.ts'
import type { Outcome, UplinkMemory } from './uplink/session.ts'

export interface UplinkOptions {
  spool: Spool
  clock: Clock
  /** Of the correlator, `host:port`. */
  address: string
  /** PEM files; without them the stream is not encrypted. */
  tls?: { ca: string, cert: string, key: string }
  /** Of the agent. */
  version: string
  /** Told what goes wrong, each time. */
  complain(error: AgentError): void
  /** Told when the correlator answers again. */
  recovered(): void
  /** What the correlator says the stores are; after every Welcome, and when they change. */
  stores(message: StoresMessage): void
}

/** How often a correlator that refused us is asked again. */
const refusedRetryMs = 60_000

const channelOptions = {
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 5000,
  'grpc.use_local_subchannel_pool': 1,
  // A dead peer or network is found out although nothing is sent.
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 10_000,
  // The variables of a workload's environment must not redirect the evidence.
  'grpc.enable_http_proxy': 0,
  // The largest are the stores of the policy; with what is around them.
  'grpc.max_receive_message_length': STORES_BYTES_MAX + 64 * 1024,
}

/** Delivers the spool. */
export class Uplink {
  readonly #options: UplinkOptions
  readonly #client: Client
  readonly #losses: Losses
  readonly #stopping = new AbortController()
  readonly #memory: UplinkMemory
  #session: Session | undefined
  #running: Promise<void> = Promise.resolve()
  #failures = 0
  /** Streams opened since the start. */
  streams = 0
  /** What keeps batches from being delivered now; undefined while all is well. */
  problem: AgentError | undefined

  /** Throws AgentError AGENT_TLS. Nothing is sent before `start`. */
  constructor(options: UplinkOptions) {
    this.#options = options
    const { spool, clock, complain } = options
    this.#losses = new Losses(spool, clock, complain)
    this.#memory = {
      ackedSeq: ackedBefore(spool), sentSeq: spool.firstSeq - 1, refused: new Set(),
    }
    this.#client = new Client(options.address, channelCredentials(options.tls), channelOptions)
  }

  /** Batches on the way without an ack. */
  get inFlight(): number { return this.#session?.inFlight ?? 0 }
  get connected(): boolean { return this.#session?.welcomed ?? false }
  /** Highest number of this node and boot that the correlator has. */
  get ackedSeq(): number { return this.#memory.ackedSeq }
  /** Events that the correlator will never get. */
  get eventsLost(): number { return this.#losses.events }

  start(): void {
    this.#options.spool.onChange(() => this.#session?.pump())
    this.#running = this.#run()
  }

  /**
   * Waits until all is delivered, for `drainMs` at most and only while there is a stream, and
   * disconnects. What was not delivered stays in the spool.
   */
  async stop(drainMs: number): Promise<void> {
    const deadline = performance.now() + drainMs
    const { store } = this.#options.spool
    while (store.waitingFrames > 0 && this.#session && performance.now() < deadline) await delay(10)
    this.#stopping.abort()
    this.#session?.stop()
    await this.#running
    this.#client.close()
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      const outcome = await this.#connect()
      const waitMs = this.#judge(outcome)
      if (waitMs > 0) await delay(waitMs, undefined, { signal, ref: true }).catch(() => {})
    }
  }

  async #connect(): Promise<Outcome> {
    const { spool, version } = this.#options
    this.streams++
    const session = new Session({
      ...identityOfNext(spool), call: openCall(this.#client), spool, version,
      memory: this.#memory, losses: this.#losses, onWelcome: () => this.#welcomed(),
      onStores: (message) => this.#options.stores(message),
    })
    this.#session = session
    if (this.#stopping.signal.aborted) session.stop()
    const outcome = await session.done
    this.#session = undefined
    return outcome
  }

  #welcomed(): void {
    this.#failures = 0
    if (this.problem === undefined) return
    this.problem = undefined
    this.#options.recovered()
  }

  /** Says what is wrong; how long to wait before the next attempt, ms. */
  #judge(outcome: Outcome): number {
    const { address } = this.#options
    switch (outcome.kind) {
      case 'stopped': case 'switch':
        return 0
      case 'refused': {
        const { code, message, retry_after_ms: retryMs } = outcome.refusal
        const what = `the correlator at ${address} refuses (${code}): ${message.slice(0, 500)}`
        this.#fail(new AgentError('UPLINK_REFUSED', what))
        if (retryMs > 0) return Math.min(retryMs, refusedRetryMs)
        // About a batch: it will be left out. About us: only somebody else can change that.
        if (isAboutBatch(code)) break
        return refusedRetryMs
      }
      case 'silent':
        this.#fail(new AgentError('UPLINK_SILENT', `${address}: ${outcome.reason}`))
        break
      case 'ended':
        this.#fail(new AgentError('UPLINK_UNREACHABLE', `${address}: ${outcome.reason}`))
    }
    return backoffMs(this.#failures++, Math.random())
  }

  #fail(error: AgentError): void {
    this.problem = error
    this.#options.complain(error)
  }
}

/** The next batch may be of an earlier boot, or of an earlier name of this node. */
function identityOfNext(spool: Spool): { nodeId: string, bootId: string } {
  for (const { payload } of spool.store.read(0, () => {})) {
    const envelope = envelopeOf(payload)
    if (envelope) return { nodeId: envelope.node_id, bootId: envelope.boot_id }
  }
  return { nodeId: spool.nodeId, bootId: spool.bootId }
}

/** What was acknowledged to earlier runs, as the spool shows it; 0 when it does not. */
function ackedBefore({ store, nodeId, bootId }: Spool): number {
  const { firstWaiting, last, ackedPosition } = store
  const ours = (one: BatchEnvelope | undefined): boolean =>
    one !== undefined && one.node_id === nodeId && one.boot_id === bootId
  if (ackedPosition === 0) return 0
  if (ours(firstWaiting)) return firstWaiting!.first_seq - 1
  return firstWaiting === undefined && ours(last) ? last!.first_seq + last!.count - 1 : 0
}

function channelCredentials(tls: UplinkOptions['tls']): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure()
  try {
    const [ca, key, cert] = [tls.ca, tls.key, tls.cert].map((path) => readFileSync(path))
    return credentials.createSsl(ca, key, cert)
  } catch (error) {
    throw new AgentError('AGENT_TLS', `TLS: ${(error as Error).message}`, error)
  }
}
