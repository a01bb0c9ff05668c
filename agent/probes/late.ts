// The probes that cannot be attached yet: those of kernel modules, and those of data stores. Both
// may come at any time: the probes are then loaded beside those that run, which they cannot harm.

import type { NativeFailure } from '../../native/index.ts'
import type { ProbeState } from '../../proto/gen/events.ts'
import { against, refusalOf } from './refusal.ts'
import type { Refusal } from './refusal.ts'
import { allMissing, probeStates, waitingFor } from './states.ts'
import type { Probe, ProbeWay } from './table.ts'

/** What is needed of the kernel; KernelObject of native/index.ts is it. */
export interface ExtensibleKernel {
  extend(programs: readonly string[]): NativeFailure | undefined
  attach(program: string): NativeFailure | undefined
  detach(program: string): void
}

export interface LateOptions {
  kernel: ExtensibleKernel
  /** Those of the table with a module, and those that need stores, in its order. */
  probes: readonly Probe[]
  /** What the kernel refused of the other probes. */
  refusals: readonly Refusal[]
  /** CAP_SYS_ADMIN is held: to others the kernel does not give the types of modules. */
  privileged: boolean
  /** As readModule of kernel-facts.ts. */
  readModule(name: string): 'loaded' | 'absent' | 'foreign'
  /** As moduleIdentity of kernel-facts.ts. */
  moduleIdentity(name: string): number
}

/** So often a probe is tried whose module is there: what is refused again stays refused. */
const triesMax = 3

/** Why a probe of data stores is not attached. */
const reasonWithoutStores = 'there is no data store on this node'

/** Attaches each probe once its module is there, or a store. */
export class LateProbes {
  readonly #options: LateOptions
  readonly #states = new Map<string, ProbeState>()
  readonly #tries = new Map<string, number>()
  /** Of the module that each probe was attached to. */
  readonly #identities = new Map<string, number>()
  /** Programs that are loaded, and were not refused when they were attached. */
  readonly #loaded = new Set<string>()
  #storesThere = false

  constructor(options: LateOptions) {
    this.#options = options
    this.look()
  }

  /** One for each probe, in their order. */
  get states(): ProbeState[] {
    return this.#options.probes.map(({ name }) => this.#states.get(name)!)
  }

  /** There is a data store on this node now, or none; the states that changed. */
  setStores(there: boolean): ProbeState[] {
    if (there === this.#storesThere) return []
    this.#storesThere = there
    const ofStores = this.#options.probes.filter(({ needs }) => needs === 'stores')
    if (there) return this.look()
    ofStores.forEach((probe) => this.#letGo(probe, reasonWithoutStores))
    return ofStores.map(({ name }) => this.#states.get(name)!)
  }

  /** Tries what is not attached and can be by now; the states that changed. */
  look(): ProbeState[] {
    this.#loadTogether()
    return this.#options.probes.flatMap((probe) => {
      if (this.#isReplaced(probe)) {
        this.#letGo(probe, `the kernel module ${probe.module} was unloaded`)
      }
      const before = this.#states.get(probe.name)
      if (before && before.state !== 'missing' && before.state !== 'waiting') return []
      const state = this.#stateOf(probe)
      if (before && before.reason === state.reason && before.state === state.state) return []
      this.#states.set(probe.name, state)
      return [state]
    })
  }

  /**
   * Loads the best ways of all probes that can be attached now at once: each load reads the types
   * of the kernel anew, which takes longer than most programs. What is refused then is left to its
   * probe.
   */
  #loadTogether(): void {
    let ways = this.#options.probes.flatMap((probe) => this.#loadable(probe) ?? [])
    while (ways.length > 1) {
      const programs = [...new Set(ways.flatMap(({ programs }) => programs))]
      const failure = this.#options.kernel.extend(programs)
      if (!failure) {
        programs.forEach((name) => this.#loaded.add(name))
        return
      }
      const others = ways.filter((way) => !way.programs.includes(failure.program ?? ''))
      if (others.length === ways.length) return
      ways = others
    }
  }

  /** The way that is tried first of a probe that waits no more; undefined when it is loaded. */
  #loadable(probe: Probe): ProbeWay | undefined {
    const before = this.#states.get(probe.name)?.state ?? 'waiting'
    const way = probe.ways.find((one) => !against(one, this.#options.refusals))
    if (!way || before !== 'waiting' || probe.unless || this.#notYet(probe)) return undefined
    return way.programs.every((name) => this.#loaded.has(name)) ? undefined : way
  }

  /** Was the module unloaded since, and maybe loaded again? Only untyped probes let that happen. */
  #isReplaced(probe: Probe): boolean {
    const identity = this.#identities.get(probe.name)
    return identity !== undefined && this.#options.moduleIdentity(probe.module!) !== identity
  }

  #letGo(probe: Probe, reason: string): void {
    for (const way of probe.ways) way.programs.forEach((name) => this.#options.kernel.detach(name))
    this.#identities.delete(probe.name)
    this.#tries.delete(probe.name)
    this.#states.set(probe.name, waitingFor(probe, reason))
  }

  #stateOf(probe: Probe): ProbeState {
    const { refusals } = this.#options
    const idle = this.#idle(probe)
    if (idle) return idle
    // What kind of program this kernel refuses is known from the others, module or not.
    if (probe.ways.every((way) => against(way, refusals))) return missing(probe, refusals)
    const notYet = this.#notYet(probe)
    if (notYet) return notYet
    const tries = this.#tries.get(probe.name) ?? 0
    if (tries === triesMax) return this.#states.get(probe.name)!
    this.#tries.set(probe.name, tries + 1)
    // Asked before: when it is replaced meanwhile, the next look sees it.
    const identity = probe.module ? this.#options.moduleIdentity(probe.module) : 0
    const state = this.#attach(probe)
    if (probe.untyped && state.state !== 'missing') this.#identities.set(probe.name, identity)
    return state
  }

  /** Of one that another probe makes needless, which is known when there are stores. */
  #idle(probe: Probe): ProbeState | undefined {
    if (!probe.unless) return undefined
    if (probe.needs === 'stores' && !this.#storesThere) {
      return waitingFor(probe, reasonWithoutStores)
    }
    const { probe: other, attach_type: type } = probe.unless
    return this.#states.get(other)?.attach_type === type
      ? waitingFor(probe, `${other} sees this itself in its way`) : undefined
  }

  /** Of one whose module or store is not there, or is of no use. */
  #notYet(probe: Probe): ProbeState | undefined {
    const { module } = probe
    if (probe.needs === 'stores' && !this.#storesThere) {
      return waitingFor(probe, reasonWithoutStores)
    }
    if (!module) return undefined
    const found = this.#options.readModule(module)
    if (found === 'absent') {
      return waitingFor(probe, `the kernel module ${module} is not loaded`)
    }
    return found === 'loaded' || probe.untyped ? undefined
      : allMissing([probe], 0, `the kernel module ${module} was not built with this ` +
        'kernel (such as that of DOCA-OFED), which therefore does not know its types')[0]
  }

  /** In the best way that is left. */
  #attach(probe: Probe): ProbeState {
    const refusals = [...this.#options.refusals]
    for (const [index, way] of probe.ways.entries()) {
      if (against(way, refusals)) continue
      const failure = this.#tryWay(way)
      if (!failure) return probeStates([{ probe, way: index }], refusals)[0]
      refusals.push(refusalOf(failure, failure.program ?? way.programs[0], way.attach_type))
    }
    const state = missing(probe, refusals)
    if (this.#options.privileged || probe.untyped || !probe.module) return state
    // What the kernel says then, EPERM, sounds as if it refused all programs of the kind.
    return { ...state, reason: `the types of the kernel module ${probe.module} are given out ` +
      'with CAP_SYS_ADMIN only, which is not held' }
  }

  #tryWay(way: ProbeWay): NativeFailure | undefined {
    const { kernel } = this.#options
    if (!way.programs.every((name) => this.#loaded.has(name))) {
      const failure = kernel.extend(way.programs)
      if (failure) return failure
    }
    for (const [index, program] of way.programs.entries()) {
      // Iterators are run by reading.
      const refused = way.attach_type === 'iterator' ? undefined : kernel.attach(program)
      if (!refused) continue
      for (const attached of way.programs.slice(0, index)) kernel.detach(attached)
      way.programs.forEach((name) => this.#loaded.delete(name))
      return refused
    }
    way.programs.forEach((name) => this.#loaded.add(name))
    return undefined
  }
}

function missing(probe: Probe, refusals: readonly Refusal[]): ProbeState {
  return probeStates([{ probe, way: -1 }], refusals)[0]
}
