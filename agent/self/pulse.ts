// The agent's events about itself: start, probes, heartbeats, ledgers; and what was lost in the
// ring and in decode, which becomes gap events.

import { arch, release } from 'node:os'
import type { Clock } from '../clock.ts'
import type { Decoder } from '../decode.ts'
import type { PreviousRun } from './previous-run.ts'
import { newFaults } from '../probes/faults.ts'
import { QuotaLosses } from './quota-losses.ts'
import type { KernelCount } from '../spool/accounts.ts'
import type { Spool } from '../spool.ts'
import type { EventKind, ProbeState } from '../../proto/gen/events.ts'

export interface PulseOptions {
  spool: Spool
  clock: Clock
  decoder: Decoder
  version: string
  scopeCgroup: string
  heartbeatIntervalMs: number
  probes: readonly ProbeState[]
  /** What the probes count of their records, and of what they could not do; absent without. */
  kernel?: {
    counters(): readonly KernelCount[]
    faults(): Readonly<Record<string, number>>
  }
  /** Events that are stored here and will never be delivered. */
  undeliverable(): number
  /** Looks for probes that can be attached by now; the states that changed. */
  lateStates?(): readonly ProbeState[]
  /** Records of new programs were lost: what is known of processes may be old. */
  execsLost(): void
}

/** Losses in the ring are looked for this often, so that gap events name a narrow range. */
const lossIntervalMs = 1000
/** All ledgers are told this often, changed or not. */
const ledgerIntervalNs = 60_000_000_000n

/** Beats from begin() to end(). */
export class Pulse {
  readonly #options: PulseOptions
  readonly #malformed = new Map<string, number>()
  readonly #faults = new Map<string, number>()
  /** Takes the cgroup_flood records. */
  readonly quotaLosses: QuotaLosses
  #states: ProbeState[]
  #timers: NodeJS.Timeout[] = []
  #lookedNs: bigint
  #allToldNs = 0n

  constructor(options: PulseOptions) {
    this.#options = options
    this.#states = [...options.probes]
    this.#lookedNs = options.clock.now().bootNs
    this.quotaLosses = new QuotaLosses((loss) => options.spool.noteLoss(loss))
  }

  /** State of each probe now. */
  get probeStates(): readonly ProbeState[] { return this.#states }

  /** Events lost at any stage since the start. */
  get eventsLost(): number {
    return this.#options.spool.accounts.lost + this.#options.undeliverable()
  }

  /** Says that the agent began, and what its probes can see. */
  begin(previousRun: PreviousRun): void {
    const { spool, version, scopeCgroup, heartbeatIntervalMs } = this.#options
    spool.add('agent_start', {
      version, kernel_release: release(), architecture: arch(), scope_cgroup: scopeCgroup,
      previous_run: previousRun, first_seq: spool.firstSeq,
    })
    for (const state of this.#states) spool.add('probe_state', state)
    this.#timers = [
      setInterval(() => this.#lookForLosses(), lossIntervalMs),
      setInterval(() => {
        for (const state of this.#options.lateStates?.() ?? []) this.setProbe(state)
        this.beat()
      }, heartbeatIntervalMs),
    ]
    this.beat()
  }

  /** A probe changed. */
  setProbe(state: ProbeState): void {
    this.#states = this.#states.map((one) => one.probe === state.probe ? state : one)
    this.#options.spool.add('probe_state', state)
  }

  /** A heartbeat and the ledgers that changed; now. */
  beat(): void {
    const { spool, clock } = this.#options
    this.#lookForLosses()
    // Closes the batch: from here on the accounts are exact.
    void spool.flush()
    const { bootNs } = clock.now()
    const everything = bootNs - this.#allToldNs >= ledgerIntervalNs
    if (everything) this.#allToldNs = bootNs
    this.#heartbeat()
    for (const account of spool.accounts.changed(everything)) {
      spool.add('ledger', { ...account, first_seq: spool.firstSeq })
    }
  }

  /** The last beat, when the ring is empty and the probes are detached. Resolves when stored. */
  async end(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    this.#lookForLosses(true)
    void this.#options.spool.flush()
    if (this.#options.decoder.readsCut > 0) this.#settleCutReads()
    this.#allToldNs = -ledgerIntervalNs
    this.beat()
    await this.#options.spool.flush()
  }

  #heartbeat(): void {
    const { spool } = this.#options
    const count = (name: string): number =>
      this.#states.filter(({ state }) => state === name).length
    const { user, system } = process.cpuUsage()
    spool.add('heartbeat', {
      resident_bytes: process.memoryUsage.rss(),
      cpu_ms: Math.round((user + system) / 1000),
      spool_bytes: spool.store.waitingBytes,
      events_lost: this.eventsLost,
      probes_attached: count('attached') + count('degraded'),
      probes_missing: count('missing'),
    })
  }

  #lookForLosses(last = false): void {
    const { spool, clock, kernel, execsLost } = this.#options
    const counts = kernel?.counters() ?? []
    const { bootNs } = clock.now()
    const range = { from_time: this.#lookedNs, to_time: bootNs }
    this.#lookedNs = bootNs
    for (const { kind, lost } of spool.accounts.setKernelCounts(counts)) {
      const reason = 'the ring buffer was full'
      spool.noteLoss({ event_kind: kind, stage: 'ring', count: lost, reason, ...range })
      if (kind === 'process_exec') execsLost()
    }
    this.quotaLosses.look(counts, range, last)
    for (const cost of newFaults(this.#faults, kernel?.faults() ?? {})) {
      spool.noteLoss({ ...cost, stage: 'probe', ...range })
    }
    for (const { event_kind: kind, count, sample } of this.#options.decoder.malformed()) {
      const more = count - (this.#malformed.get(kind) ?? 0)
      this.#malformed.set(kind, count)
      if (more === 0) continue
      if (kind !== 'unknown') spool.accounts.of(kind).malformed += more
      const reason = `a record could not be decoded; the first began with ${sample.slice(0, 64)}`
      spool.noteLoss({ event_kind: kind, stage: 'decode', count: more, reason, ...range })
    }
  }

  /**
   * The rest of a read was dropped, and nobody could tell which records were in it. Now that the
   * ring is empty they are what is missing in the account.
   */
  #settleCutReads(): void {
    const { spool } = this.#options
    for (const account of spool.accounts.all()) {
      const { produced, lost, malformed, dropped, stored } = account
      const count = produced - lost - malformed - dropped - stored
      if (count <= 0) continue
      account.malformed += count
      spool.noteLoss({
        event_kind: account.event_kind satisfies EventKind, stage: 'decode', count,
        from_time: 0n, to_time: this.#lookedNs, reason: 'in the rest of reads that were cut off',
      })
    }
  }
}
