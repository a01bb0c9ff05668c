// A cgroup of its own for a probe test: what runs in it is seen, everything else is not.

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdirSync, readFileSync, rmdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { readKernelFacts } from '../../agent/probes/kernel-facts.ts'
import type { ActorAnswer, ActorCommand } from './actor.ts'

const actorPath = join(import.meta.dirname, 'actor.ts')
const startsMax = 3
let made = 0

/** A running program. `pid` is the program's own: nothing stands between it and the test. */
export interface Program {
  pid: number
  /** The next line that it prints; undefined when it printed its last. */
  line(): Promise<string | undefined>
  /** Writes to its input. */
  tell(text: string): void
  /** Ends its input, and waits for its end. */
  ended(): Promise<{ code: number | null, signal: NodeJS.Signals | null }>
  kill(signal: NodeJS.Signals): void
}

/** A program that makes connections on command (actor.ts). */
export interface Actor extends Program {
  ask(command: ActorCommand): Promise<ActorAnswer>
}

export class ScopeCgroup {
  readonly path: string
  /** Depth below the root of the cgroup v2 tree. */
  readonly level = 1
  readonly id: bigint
  readonly #children: ChildProcess[] = []

  /** Makes the cgroup. Needs root and a mounted cgroup v2. */
  constructor() {
    const { cgroup2 } = readKernelFacts()
    if (cgroup2 === '') throw new Error('no cgroup v2 is mounted: mount -t cgroup2 none DIR')
    this.path = join(cgroup2, `vedette-test-${process.pid}-${++made}`)
    mkdirSync(this.path)
    this.id = statSync(this.path, { bigint: true }).ino
  }

  /** Runs a program in the cgroup; its exec is the first thing that happens in there. */
  start(command: string, ...words: string[]): Program {
    const enter = 'echo $$ > "$0" && exec "$@"'
    const procs = join(this.path, 'cgroup.procs')
    return this.#own(spawn('/bin/sh', ['-c', enter, procs, command, ...words], {
      stdio: ['pipe', 'pipe', 'inherit'],
    }))
  }

  /** Runs a program beside the cgroup. */
  startOutside(command: string, ...words: string[]): Program {
    return this.#own(spawn(command, words, { stdio: ['pipe', 'pipe', 'inherit'] }))
  }

  /**
   * An actor in the cgroup, ready for commands. Node crashes in one of some sixty starts on
   * emulated processors: an actor that ends before it has said a word is started again.
   */
  async startActor(outside = false): Promise<Actor> {
    for (let tries = 1; ; tries++) {
      const actor = this.#startActor(outside)
      try {
        await actor.ask({ do: 'hello' })
        return actor
      } catch (error) {
        if (tries === startsMax) throw error
        const { code, signal } = await actor.ended()
        process.stderr.write(`!! an actor ended at its start (${signal ?? code})\n`)
      }
    }
  }

  #startActor(outside: boolean): Actor {
    const words = [process.execPath, actorPath] as const
    const program = outside ? this.startOutside(...words) : this.start(...words)
    const child = this.#children.at(-1) as ChildProcess
    const ask = async (command: ActorCommand): Promise<ActorAnswer> => {
      child.stdin?.write(`${JSON.stringify(command)}\n`)
      const line = await program.line()
      if (line === undefined) throw new Error(`the actor ended instead of: ${command.do}`)
      return JSON.parse(line) as ActorAnswer
    }
    return { ...program, ask }
  }

  /** Ends what still runs, started here or by those, and removes the cgroup. */
  async remove(): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL')
    // Busy while a process in it is still ending.
    while (!removeQuietly(this.path)) {
      const pids = readFileSync(join(this.path, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean)
      for (const pid of pids) killQuietly(Number(pid))
      await sleep(10)
    }
  }

  #own(child: ChildProcess): Program {
    this.#children.push(child)
    const end = new Promise<{ code: number | null, signal: NodeJS.Signals | null }>((resolve) => {
      child.on('exit', (code, signal) => resolve({ code, signal }))
    })
    const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
    // A program may end before it has read what it was told.
    child.stdin!.on('error', () => {})
    return {
      pid: child.pid as number,
      line: async () => (await lines.next()).value as string | undefined,
      tell: (text) => void child.stdin!.write(text),
      ended: () => {
        child.stdin!.end()
        return end
      },
      kill: (signal) => void child.kill(signal),
    }
  }
}

function removeQuietly(path: string): boolean {
  try {
    rmdirSync(path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EBUSY') return false
    throw error
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended by itself in between.
  }
}
