// The whole rig: nodes, network, services, and the product that watches them.

import { join } from 'node:path'
import { BenignWork } from './benign.ts'
import type { Load } from './benign.ts'
import { compile } from './compile.ts'
import { Halves } from './halves.ts'
import type { HalvesOptions } from './halves.ts'
import { addressOf, NODES } from './layout.ts'
import type { NodeName } from './layout.ts'
import { closeMachine, openMachine } from './machine.ts'
import type { Machine } from './machine.ts'
import { joinNodes } from './network.ts'
import { RigNode } from './node.ts'
import type { Program } from './program.ts'
import { startServices } from './services.ts'
import { writeEtc } from './users.ts'

export interface ClusterOptions extends Pick<HalvesOptions, 'clockShiftS'> {
  /** Policy file to begin with. */
  policy: string
  /** Told what is being done, for a person who waits. */
  progress(what: string): void
}

export class Cluster {
  readonly machine: Machine
  readonly nodes: ReadonlyMap<string, RigNode>
  readonly halves: Halves
  readonly #trainers: Program[]

  private constructor(
    machine: Machine, nodes: ReadonlyMap<string, RigNode>, halves: Halves, trainers: Program[],
  ) {
    this.machine = machine
    this.nodes = nodes
    this.halves = halves
    this.#trainers = trainers
  }

  /** Everything runs and answers when it resolves; nothing is left when it rejects. */
  static async open(options: ClusterOptions): Promise<Cluster> {
    const { progress } = options
    progress('nodes and network')
    const machine = await openMachine()
    try {
      const etc = join(machine.dir, 'etc')
      writeEtc(etc, addressOf('orchestration'))
      const nodes = new Map<string, RigNode>()
      for (const node of NODES) nodes.set(node.name, await RigNode.open(node, machine, etc))
      const fabric = await RigNode.open({ name: 'fabric', addresses: [] }, machine, etc)
      joinNodes(fabric, [...nodes.values()])
      progress('agents and correlator')
      const clockLibrary = options.clockShiftS
        ? compile('test/rig/programs/shifted_clock.c', machine.dir, true) : undefined
      const halves = await Halves.start({ ...options, nodes, dir: machine.dir, clockLibrary })
      progress('services')
      const trainers = await startServices(nodes, etc)
      return new Cluster(machine, nodes, halves, trainers)
    } catch (error) {
      await closeMachine(machine)
      throw error
    }
  }

  node(name: NodeName): RigNode {
    return this.nodes.get(name)!
  }

  /** Compiles a C file of the repository; every node sees the result at this path. */
  compiled(source: string): string {
    return compile(source, join(this.machine.dir, 'programs'))
  }

  work(load: Load): Promise<BenignWork> {
    return BenignWork.start(this.nodes, load)
  }

  /** The training job ends by itself, and its nodes go on. */
  async endTraining(): Promise<void> {
    await Promise.all(this.#trainers.map((trainer) => trainer.stop()))
  }

  /** Ends all that runs, and removes all that was made. */
  close(): Promise<void> {
    return closeMachine(this.machine)
  }
}
