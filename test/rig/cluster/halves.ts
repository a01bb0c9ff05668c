// The product on the rig, as a user runs it: an agent on every node and one correlator, each a
// process of its own, with the relay (programs/uplink-relay.ts) between them.

import { copyFileSync, existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Incident, IncidentUpdate } from '../../../detect/incident.ts'
import { LogReader } from '../../../log/cursor.ts'
import { parsePolicy } from '../../../policy/parse.ts'
import { decodeBatch } from '../../../proto/batch.ts'
import { BatchCursor } from '../../../proto/batch-cursor.ts'
import type { Event } from '../../../proto/batch-cursor.ts'
import { addressOf, PORTS, uplinkPort, WATCHED } from './layout.ts'
import type { WatchedName } from './layout.ts'
import type { RigNode } from './node.ts'
import { until } from './program.ts'
import type { Program } from './program.ts'

const VEDETTE = ['/opt/node/bin/node', '/opt/vedette/cli/vedette.js']

export interface HalvesOptions {
  nodes: ReadonlyMap<string, RigNode>
  /** Folder of the rig. */
  dir: string
  /** Policy file to begin with. */
  policy: string
  /** Seconds by which the clock of a node's agent is wrong. */
  clockShiftS?: Partial<Record<WatchedName, number>>
  /** Built from programs/shifted_clock.c, when a clock is shifted. */
  clockLibrary?: string
}

/** A running correlator with its agents. */
export class Halves {
  readonly #options: HalvesOptions
  readonly #incidents = new Map<string, Incident>()
  readonly #agents = new Map<WatchedName, Program>()
  #correlator: Program | undefined
  #relay: Program | undefined
  #next = 0

  private constructor(options: HalvesOptions) {
    this.#options = options
    copyFileSync(options.policy, this.policyFile)
  }

  static async start(options: HalvesOptions): Promise<Halves> {
    const halves = new Halves(options)
    await halves.startCorrelator()
    halves.#relay = await halves.#seat.serve('uplink-relay.ts',
      [PORTS.correlator, ...WATCHED.map(uplinkPort)].map(String), { backstage: true, input: true })
    await Promise.all(WATCHED.map((name) => halves.#startAgent(name)))
    return halves
  }

  /** Data folder of the correlator. */
  get data(): string { return join(this.#options.dir, 'correlator') }
  /** Read again by the correlator when it changes. */
  get policyFile(): string { return join(this.#options.dir, 'policy.yaml') }
  get #seat(): RigNode { return this.#options.nodes.get('orchestration')! }

  async startCorrelator(): Promise<void> {
    this.#correlator = this.#seat.start([...VEDETTE, 'correlator', '--data', this.data,
      '--listen', `0.0.0.0:${PORTS.correlator}`, '--policy', this.policyFile], { backstage: true })
    await this.#correlator.says(/gRPC on port/, 'stderr')
  }

  /** Ends the correlator as a crash does; what comes next is sent again after the next start. */
  async killCorrelator(): Promise<void> {
    await this.#correlator?.stop('SIGKILL')
  }

  /** What the network does to a node: see programs/uplink-relay.ts. */
  async uplink(
    what: 'hold' | 'release' | 'mute' | 'cut' | 'mend', name: WatchedName,
  ): Promise<void> {
    const port = uplinkPort(name)
    const before = this.#relay!.stdout.length
    this.#relay!.tell(JSON.stringify({ do: what, port }))
    await this.#relay!.says(new RegExp(`^[^]{${before}}[^]*done ${what} ${port}\n`))
  }

  /** A metric without labels of the agent of a node; NaN when there is none of that name. */
  async metric(name: WatchedName, metric: string): Promise<number> {
    const text = await this.#options.nodes.get(name)!.start(['curl', '-sS', '--fail',
      `http://127.0.0.1:${PORTS.agent_http}/metrics`], { backstage: true }).succeeds()
    return Number(new RegExp(`^${metric} (.*)$`, 'm').exec(text)?.[1])
  }

  /** Incidents as they were last told, in the order in which they opened. */
  incidents(): Incident[] {
    const dir = join(this.data, 'incidents')
    if (!existsSync(dir)) return []
    for (const { position, payload } of new LogReader(dir).read({ from: this.#next })) {
      this.#next = position + 1
      const { incident } = JSON.parse(payload.toString('utf8')) as IncidentUpdate
      this.#incidents.set(incident.incident_id, incident)
    }
    return [...this.#incidents.values()]
  }

  /** Puts a policy in force, as a person does: by writing the file. Resolves when it is. */
  async applyPolicy(text: string): Promise<void> {
    writeFileSync(this.policyFile, text)
    const { sha256 } = parsePolicy(text).policy ?? { sha256: '' }
    if (sha256 === '') throw new Error(`this is no policy:\n${text}`)
    await this.sees('the policy to be in force', (event) =>
      event.kind === 'policy_applied' && event.sha256 === sha256)
  }

  /** Waits until the log has an event, which may be there already. */
  async sees(what: string, matches: (event: Event) => boolean): Promise<void> {
    const cursor = new BatchCursor()
    let from = 0
    await until(what, () => {
      let found: true | undefined
      for (const { position, payload } of new LogReader(join(this.data, 'log')).read({ from })) {
        from = position + 1
        cursor.forEach(decodeBatch(payload), (event) => {
          if (matches(event)) found = true
        })
      }
      return found
    }, () => this.#correlator?.stderr ?? '')
  }

  /** Runs a command of the product beside the correlator, as its user would. */
  vedette(...words: string[]): Program {
    return this.#seat.start([...VEDETTE, ...words], { backstage: true })
  }

  /** Agents deliver what waits, then the correlator ends; each must end well. */
  async stop(): Promise<void> {
    const agents = [...this.#agents.values()]
    const ends = await Promise.all(agents.map((agent) => agent.stop('SIGTERM')))
    agents.forEach((agent, i) => mustEndWell(agent, ends[i]!.code))
    if (this.#correlator) mustEndWell(this.#correlator, (await this.#correlator.stop()).code)
    await this.#relay?.stop()
  }

  async #startAgent(name: WatchedName): Promise<void> {
    const { nodes, dir, clockShiftS = {}, clockLibrary = '' } = this.#options
    const node = nodes.get(name)!
    const shift = clockShiftS[name]
    const agent = node.start([...VEDETTE, 'agent', '--node-id', name,
      '--correlator', `${addressOf('orchestration')}:${uplinkPort(name)}`,
      '--data', join(dir, name, 'agent'), '--scope-cgroup', node.scope,
      '--listen-http', `0.0.0.0:${PORTS.agent_http}`], {
      unit: 'vedette-agent.service',
      env: shift === undefined ? {} : { LD_PRELOAD: clockLibrary, CLOCK_SHIFT_S: String(shift) },
    })
    this.#agents.set(name, agent)
    await agent.says(/sends to/, 'stderr')
  }
}

function mustEndWell({ what, stderr }: Program, code: number | null): void {
  if (code !== 0) throw new Error(`${what} ended with ${code}:\n${stderr}`)
}

