/** The programs of a drill: real processes in its namespaces, all gone at its end. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Interface } from 'node:readline'
import { DrillError } from './drill.ts'
import type { DrillContext } from './drill.ts'
import { joinedNamespaces } from './namespaces.ts'

const PEER = join(import.meta.dirname, 'peer.ts')

/** A program of the drill that runs. */
export interface Actor {
  pid: number
  /** The next line that it prints. Rejects with DrillError when it ends without one. */
  line(otherwise: string): Promise<string>
  /** Its end. Rejects with DrillError when that is not with status 0. */
  ended(otherwise: string): Promise<void>
}

export interface Actors {
  /** Starts peer.ts with these words, in one of the namespaces. */
  start(namespace: string, ...words: string[]): Actor
}

/**
 * Runs a drill in a row of namespaces, one for each address, that are joined to nothing else, and
 * removes them and every process in the end. Needs root. Rejects with DrillError.
 */
export async function among<T>(
  addresses: readonly string[], { say, signal }: DrillContext,
  act: (actors: Actors, ...namespaces: string[]) => Promise<T>,
): Promise<T> {
  if (process.getuid?.() !== 0) {
    throw new DrillError('the drill makes network namespaces and needs root: run it with sudo')
  }
  say(`making ${addresses.length} network namespaces that are joined to nothing else`)
  const row = await joinedNamespaces(...addresses)
  const children: ChildProcess[] = []
  try {
    signal.throwIfAborted()
    // `ip netns exec` becomes the program: the process that is started is the one that acts.
    const start = (namespace: string, ...words: string[]): Actor => actorOf(startAs(
      ['ip', 'netns', 'exec', namespace, process.execPath, PEER, ...words], children, signal))
    return await act({ start }, ...row.names)
  } finally {
    for (const child of children) child.kill('SIGKILL')
    await row.remove()
  }
}

/**
 * Starts peer.ts with these words where the drill itself runs, and gives its pid and what it says
 * when it has ended. Rejects with DrillError.
 */
export async function alone(
  words: readonly string[], { signal }: DrillContext, otherwise: string,
): Promise<{ pid: number, line: string }> {
  const children: ChildProcess[] = []
  try {
    const actor = actorOf(startAs([process.execPath, PEER, ...words], children, signal))
    const line = await actor.line(otherwise)
    await actor.ended(otherwise)
    return { pid: actor.pid, line }
  } finally {
    for (const child of children) child.kill('SIGKILL')
  }
}

function startAs(
  [program, ...words]: string[], children: ChildProcess[], signal: AbortSignal,
): ChildProcess {
  signal.throwIfAborted()
  const env = { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` }
  const child = spawn(program, words, { env, stdio: ['ignore', 'pipe', 'inherit'] })
  child.on('error', () => undefined)
  signal.addEventListener('abort', () => child.kill('SIGKILL'), { once: true })
  children.push(child)
  return child
}

function actorOf(child: ChildProcess): Actor {
  const lines = linesOf(createInterface({ input: child.stdout! }))
  const exit = once(child, 'exit') as Promise<[number | null]>
  exit.catch(() => undefined)
  return {
    pid: child.pid ?? 0,
    async line(otherwise) {
      const { value, done } = await lines.next()
      if (done) throw new DrillError(otherwise)
      return value
    },
    async ended(otherwise) {
      const [code] = await exit
      if (code !== 0) throw new DrillError(`${otherwise} (exit status ${code})`)
    },
  }
}

async function* linesOf(input: Interface): AsyncGenerator<string, undefined> {
  for await (const line of input) yield line
}
