/** The chains that were raised: they grow at both ends, and stay one incident. */
import type { Context } from '../detect/context.ts'
import type { Evidence, Hop, Severity } from '../detect/finding.ts'
import { flag } from '../detect/graph/connection-columns.ts'
import type { Step } from '../detect/graph/walk.ts'
import { worseOf } from '../detect/words.ts'
import type { JudgedPath } from './lateral-score.ts'
import {
  evidenceOf, severityOf, shapeOf, subjectsOf, tellChain, tellHop, wallNsOf,
} from './lateral-story.ts'

/** One hop of a chain. Plain data, as all of this. */
interface ChainHop {
  step: Step
  /** The step that it follows from; null for the first one. */
  before: Step | null
  shape: string
  hop: Hop
}

interface Chain {
  /** Of the finding. */
  key: string
  /** Null while the detector is muted. */
  incident: string | null
  hops: ChainHop[]
  /** Hops that did not fit. */
  unlisted: number
  /** The path with the highest score so far. */
  worst: JudgedPath
  severity: Severity
}

export interface ChainState {
  chains: Map<number, Chain>
  /** Chain by the slot of a connection of it. */
  byConnection: Map<number, number>
  next: number
  /** Last connections of paths, by slot, until their far end or their time comes. */
  held: Map<number, { serial: number; actor: number; dueMs: number }>
}

/** The chain that began first leaves: what is found later begins a new one. */
const CHAINS_MAX = 256
const HOPS_MAX = 64
/** The same program that reaches the same service again and again, such as logins that fail. */
const ALIKE_MAX = 4

/** What can be done with the chains of a detector's state. */
export class Chains {
  private readonly state: ChainState
  private readonly context: Context

  constructor(state: ChainState, context: Context) {
    this.state = state
    this.context = context
  }

  /** A path was found that nobody should go. It may be the next part of one that was told. */
  raise(path: JudgedPath): void {
    const { state } = this
    const of = path.steps.flatMap(({ connection }) => state.byConnection.get(connection) ?? [])
    const [number, ...others] = [...new Set(of)].sort((a, b) => a - b)
    if (number === undefined) return this.begin(path)
    const chain = state.chains.get(number)!
    const before = new Set(chain.hops.map(({ step }) => step.connection))
    const unlisted = chain.unlisted
    this.grow(number, chain, path)
    for (const other of others) this.merge(number, chain, other)
    const worse = path.score > chain.worst.score
    if (worse) chain.worst = path
    const fresh = chain.hops.filter(({ step }) => !before.has(step.connection))
    const isRound = chain.unlisted > unlisted && /^10*$/.test(String(chain.unlisted))
    if (fresh.length === 0 && !worse && !isRound) return
    chain.severity = worseOf(chain.severity, severityOf(path, this.context))
    // The latest first: it gives an incident that begins anew another name.
    const evidence = fresh.flatMap(({ hop }) => hop.evidence ?? []).reverse()
    this.tell(chain, path, evidence)
  }

  /**
   * More is known of a connection of a chain: its other end. Returns the connections that follow
   * from it in the chain, to which more may lead now.
   */
  refresh(slot: number): number[] {
    const { context } = this
    const [chain, part] = this.find(slot)
    if (chain === null || part === null) return []
    const { columns } = context.graph.connections
    if (part.step.actor === 0) part.step.actor = columns.client.get(slot)
    const zones = context.zonesOfConnection(slot, context.processOf(part.step.actor))
    const hop = tellHop(part.step, part.before, zones, context)
    // A process that is forgotten by now stays in the story.
    if (hop.from.pid === undefined) hop.from = part.hop.from
    if (hop.to.pid === undefined && part.hop.to.pid !== undefined) hop.to = part.hop.to
    const known = new Set(part.hop.evidence?.map(({ node_id, seq }) => `${node_id} ${seq}`))
    part.hop = hop
    const evidence = hop.evidence ?? []
    this.tell(chain, chain.worst, evidence.filter(({ node_id: node, seq }) =>
      !known.has(`${node} ${seq}`)))
    const following = chain.hops.filter(({ before }) => before?.connection === slot)
    return following.map(({ step }) => step.connection)
  }

  /** A connection of a chain ended: what passed over it is known. */
  closed(slot: number): void {
    const [chain, part] = this.find(slot)
    if (chain === null || part === null) return
    const { bytesSent, bytesReceived } = this.context.graph.connections.columns
    const { hop } = part
    const [sent, received] = [bytesSent.get(slot), bytesReceived.get(slot)]
    if (hop.bytes_sent === sent && hop.bytes_received === received) return
    part.hop = { ...hop, bytes_sent: sent, bytes_received: received }
    if (chain.incident === null) return
    this.context.amend(chain.incident, chain.key, { hops: chain.hops.map((one) => one.hop) })
  }

  private find(slot: number): [Chain, ChainHop] | [null, null] {
    const chain = this.state.chains.get(this.state.byConnection.get(slot) ?? 0)
    const part = chain?.hops.find(({ step }) => step.connection === slot)
    return chain === undefined || part === undefined ? [null, null] : [chain, part]
  }

  private begin(path: JudgedPath): void {
    const { state, context } = this
    for (const [oldest] of state.chains) {
      if (state.chains.size < CHAINS_MAX) break
      this.drop(oldest)
    }
    const number = state.next++
    const evidence = path.steps.flatMap(({ connection }) => evidenceOf(connection, context))
    const [{ node_id, boot_id, seq }] = evidence
    const chain: Chain = {
      key: `chain ${node_id} ${boot_id} ${seq}`, incident: null, hops: [], unlisted: 0, worst: path,
      severity: severityOf(path, context),
    }
    state.chains.set(number, chain)
    this.grow(number, chain, path)
    this.report(chain, path, evidence)
  }

  /** Takes the steps that are new: before the first known one, or at the end. */
  private grow(number: number, chain: Chain, path: JudgedPath): void {
    const { steps } = path
    const known = steps.map((step) =>
      chain.hops.findIndex((one) => one.step.connection === step.connection))
    const first = known.find((at) => at >= 0) ?? chain.hops.length
    let place = first
    let met = false
    steps.forEach((step, i) => {
      const before = steps[i - 1] ?? null
      const hop = tellHop(step, before, path.zones[i], this.context)
      if (known[i] >= 0) {
        const part = chain.hops.find((one) => one.step.connection === step.connection)!
        // What leads here is known by now.
        if (part.before === null && before !== null) Object.assign(part, { step, before, hop })
        met = true
        return
      }
      const shape = shapeOf(step, this.context)
      const alike = chain.hops.filter((one) => one.shape === shape).length
      if (alike >= (i === steps.length - 1 ? 1 : ALIKE_MAX)) return
      if (chain.hops.length >= HOPS_MAX) {
        chain.unlisted++
        return
      }
      const part: ChainHop = { step: { ...step }, before, shape, hop }
      if (met) chain.hops.push(part)
      else chain.hops.splice(place++, 0, part)
      this.pin(number, step.connection)
    })
  }

  /** A way between two chains was found: they are one. */
  private merge(number: number, chain: Chain, other: number): void {
    const gone = this.state.chains.get(other)!
    for (const part of gone.hops) {
      const { connection, serial } = part.step
      if (this.state.byConnection.get(connection) === other) {
        this.state.byConnection.delete(connection)
        if (chain.hops.length < HOPS_MAX) {
          chain.hops.push(part)
          this.state.byConnection.set(connection, number)
          continue
        }
      }
      chain.unlisted++
      this.context.graph.connections.release(connection, serial)
    }
    chain.severity = worseOf(chain.severity, gone.severity)
    this.state.chains.delete(other)
  }

  private pin(number: number, slot: number): void {
    const { connections } = this.context.graph
    connections.hold(slot)
    connections.columns.flags.set(slot, connections.columns.flags.get(slot) | flag.inChain)
    this.state.byConnection.set(slot, number)
  }

  private drop(number: number): void {
    const { state, context: { graph: { connections } } } = this
    for (const { step: { connection, serial } } of state.chains.get(number)!.hops) {
      if (state.byConnection.get(connection) !== number) continue
      state.byConnection.delete(connection)
      if (connections.columns.serial.get(connection) === serial) {
        const { flags } = connections.columns
        flags.set(connection, flags.get(connection) & ~flag.inChain)
      }
      connections.release(connection, serial)
    }
    state.chains.delete(number)
  }

  private tell(chain: Chain, path: JudgedPath, evidence: Evidence[]): void {
    const { context } = this
    if (chain.incident === null || !context.isOpen(chain.incident)) {
      if (evidence.length > 0) this.report(chain, path, evidence)
      return
    }
    const hops = chain.hops.map(({ hop }) => hop)
    const { summary, details, next_steps } =
      tellChain(chain.worst, hops, chain.unlisted, context)
    context.amend(chain.incident, chain.key, {
      summary, details, next_steps, hops, evidence, severity: chain.severity, ...placesOf(hops),
      joins: subjectsOf(path, context),
    })
  }

  private report(chain: Chain, path: JudgedPath, evidence: Evidence[]): void {
    const { context } = this
    const hops = chain.hops.map(({ hop }) => hop)
    const [subject, ...joins] = subjectsOf(path, context)
    const head = path.steps[path.steps.length - 1].connection
    chain.incident = context.report({
      key: chain.key, subject, joins, severity: chain.severity, evidence, ...placesOf(hops),
      wallNs: wallNsOf(head, context),
      tell: () => tellChain(path, hops, chain.unlisted, context),
    })
  }
}

function placesOf(
  hops: readonly Hop[],
): { nodes: string[]; workloads: string[]; zones: string[] } {
  const ends = hops.flatMap(({ from, to }) => [from, to])
  return {
    nodes: [...new Set(ends.flatMap(({ node_id: node }) => node ?? []))],
    workloads: [...new Set(ends.flatMap(({ workload }) => workload ?? []))],
    zones: [...new Set(ends.map(({ zone }) => zone))],
  }
}
