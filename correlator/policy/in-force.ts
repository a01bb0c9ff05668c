/**
 * The policy in force, and its baselines: what zones are named by, and what the event log says was
 * in force when.
 */
import { baselineIdentity } from '../../detect/gpu/baselines.ts'
import type { Known } from '../../detect/names/known.ts'
import { compilePolicy } from '../../policy/compile.ts'
import type { CompiledPolicy } from '../../policy/compile.ts'
import { storeRulesOf } from '../../policy/match/store-rules.ts'
import type { Policy } from '../../policy/policy.ts'
import { codec } from '../../proto/messages.ts'
import { messageOfRules, STORES_BYTES_MAX } from '../../stores/rule-message.ts'
import type { StoresMessage } from '../../stores/rule-message.ts'
import type { CorrelatorSettings } from '../config.ts'
import { messageOf } from '../errors.ts'
import type { EventLog } from '../event-log.ts'
import type { Metrics } from '../metrics.ts'
import { EventZoner } from '../query/event-zones.ts'
import type { SequenceTable } from '../ingest/sequences.ts'
import { baselineFiles } from './baselines.ts'
import type { LoadedBaseline } from './baselines.ts'
import { appendOwn } from './own-batch.ts'
import { readPolicy } from './source.ts'
import type { PolicyRead } from './source.ts'

const storesCodec = codec<StoresMessage>('Stores')

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
  /** Digest and key of the baselines that the log puts in force, by path. */
  loggedBaselines: ReadonlyMap<string, string>
  /** Told when the stores of the policy are others. */
  storesChanged(): void
}

/** Holds it, and writes every change into the event log. */
export class PolicyInForce {
  readonly #options: PolicyInForceOptions
  #compiled: CompiledPolicy
  #zoner: EventZoner
  #stores: StoresMessage | undefined
  #loggedSha256: string
  readonly #baselines: Map<string, string>
  #files: readonly string[] = []

  constructor({ policy, baselines }: PolicyRead, options: PolicyInForceOptions) {
    this.#options = options
    this.#loggedSha256 = options.loggedSha256
    this.#baselines = new Map(options.loggedBaselines)
    this.#notePolicy(policy)
    this.#compiled = compilePolicy(policy)
    this.#zoner = new EventZoner(this.#compiled, () => this.#options.known())
    this.#noteStores(policy)
    this.#log(policy, baselines)
  }

  /** What agents must know of its stores; undefined when that is more than they take. */
  get stores(): StoresMessage | undefined { return this.#stores }

  /** The baseline files that the policy names, also one that was refused. */
  get files(): readonly string[] { return this.#files }

  /** Names the zones of events by the policy in force. */
  get zoner(): EventZoner { return this.#zoner }

  /** Reads the files again. What is broken changes nothing, and is reported. */
  reload = (): void => {
    const { settings, report, metrics } = this.#options
    let read: PolicyRead
    try {
      read = readPolicy(settings.policy, this.#notePolicy)
    } catch (error) {
      metrics.policyFailures.inc()
      report(`${messageOf(error)} The policy ${this.#compiled.sha256.slice(0, 12)} stays in force.`)
      return
    }
    const { policy, baselines } = read
    if (policy.sha256 !== this.#compiled.sha256) {
      this.#compiled = compilePolicy(policy)
      this.#zoner = new EventZoner(this.#compiled, () => this.#options.known())
      const before = this.#stores?.sha256
      this.#noteStores(policy)
      if (this.#stores?.sha256 !== before) this.#options.storesChanged()
    }
    this.#log(policy, baselines)
  }

  #noteStores(policy: Policy): void {
    const stores = messageOfRules(storeRulesOf(policy))
    const bytes = storesCodec.encode(stores).length
    this.#stores = bytes <= STORES_BYTES_MAX ? stores : undefined
    if (this.#stores) return
    this.#options.report(`the stores of the policy are ${bytes} bytes, more than the ` +
      `${STORES_BYTES_MAX} that an agent takes: agents keep those that they have; write fewer`)
  }

  readonly #notePolicy = (policy: Policy): void => {
    const { policy: file } = this.#options.settings
    this.#files = file === undefined ? [] : baselineFiles(policy, file)
  }

  #log(policy: Policy, baselines: readonly LoadedBaseline[]): void {
    const { settings, log, sequences, metrics, report } = this.#options
    const { sha256, text } = policy
    metrics.policy.reset()
    metrics.policy.set({ sha256 }, 1)
    if (sha256 !== this.#loggedSha256) {
      const path = settings.policy ?? ''
      appendOwn({ log, sequences }, [{ kind: 'policy_applied', values: { sha256, text, path } }])
      this.#loggedSha256 = sha256
      report(`policy ${sha256.slice(0, 12)} (${path || 'learning'}) is in force`)
      // Whoever reads the log forgets them with the policy that named them.
      for (const named of this.#baselines.keys()) {
        if (!baselines.some((one) => one.path === named)) this.#baselines.delete(named)
      }
    }
    for (const baseline of baselines) this.#logBaseline(baseline)
  }

  /** A batch of its own: a baseline with reference files is large. */
  #logBaseline({ path, ...values }: LoadedBaseline): void {
    const { log, sequences, report } = this.#options
    const identity = baselineIdentity(values)
    if (this.#baselines.get(path) === identity) return
    appendOwn({ log, sequences }, [{ kind: 'baseline_applied', values: { path, ...values } }])
    this.#baselines.set(path, identity)
    const { node_class, sha256, key_id } = values
    report(`baseline ${node_class} ${sha256.slice(0, 12)} (${path}, ` +
      `${key_id === '' ? 'not signed' : `signed by ${key_id}`}) is in force`)
  }
}
