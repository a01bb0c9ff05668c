/** The policy in force: what zones are named by, and what the event log says was in force when. */
import type { Known } from '../../detect/names/known.ts'
import { compilePolicy } from '../../policy/compile.ts'
import type { CompiledPolicy } from '../../policy/compile.ts'
import type { Policy } from '../../policy/policy.ts'
import type { CorrelatorSettings } from '../config.ts'
import { messageOf } from '../errors.ts'
import type { EventLog } from '../event-log.ts'
import type { Metrics } from '../metrics.ts'
import { EventZoner } from '../query/event-zones.ts'
import type { SequenceTable } from '../ingest/sequences.ts'
import { appendOwn } from './own-batch.ts'
import { readPolicy } from './source.ts'

export interface PolicyInForceOptions {
  settings: CorrelatorSettings
  log: EventLog
  sequences: SequenceTable
  metrics: Metrics
  report(line: string): void
  /** Who is who, to name zones by. */
  known(): Known
  /** SHA-256 of the last policy_applied in the log, hex; empty for none. */
  loggedSha256: string
}

/** Holds it, and writes every change into the event log. */
export class PolicyInForce {
  readonly #options: PolicyInForceOptions
  #compiled: CompiledPolicy
  #zoner: EventZoner
  #loggedSha256: string

  constructor(policy: Policy, options: PolicyInForceOptions) {
    this.#options = options
    this.#loggedSha256 = options.loggedSha256
    this.#compiled = compilePolicy(policy)
    this.#zoner = new EventZoner(this.#compiled, () => this.#options.known())
    this.#log(policy)
  }

  /** Names the zones of events by the policy in force. */
  get zoner(): EventZoner { return this.#zoner }

  /** Reads the file again. One that is broken changes nothing, and is reported. */
  reload = (): void => {
    const { settings, report, metrics } = this.#options
    let policy: Policy
    try {
      policy = readPolicy(settings.policy)
    } catch (error) {
      metrics.policyFailures.inc()
      report(`${messageOf(error)} The policy ${this.#compiled.sha256.slice(0, 12)} stays in force.`)
      return
    }
    if (policy.sha256 === this.#compiled.sha256) return
    this.#compiled = compilePolicy(policy)
    this.#zoner = new EventZoner(this.#compiled, () => this.#options.known())
    this.#log(policy)
  }

  #log(policy: Policy): void {
    const { settings, log, sequences, metrics, report } = this.#options
    const { sha256, text } = policy
    metrics.policy.reset()
    metrics.policy.set({ sha256 }, 1)
    if (sha256 === this.#loggedSha256) return
    const path = settings.policy ?? ''
    appendOwn({ log, sequences }, [{ kind: 'policy_applied', values: { sha256, text, path } }])
    this.#loggedSha256 = sha256
    report(`policy ${sha256.slice(0, 12)} (${path || 'learning'}) is in force`)
  }
}
