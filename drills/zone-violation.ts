import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DRILL_ZONES } from '../policy/zone-names.ts'
import { DrillError } from './drill.ts'
import type { Drill, DrillContext, DrillOutcome } from './drill.ts'
import { joinedNamespaces } from './namespaces.ts'
import type { NamespacePair } from './namespaces.ts'

/** One address of each of the two drill ranges of the policy (policy/match/drill-ranges.ts). */
const SOURCE = '192.0.2.1'
const TARGET = '198.51.100.1'
const BYTES = 4096
const PEER = join(import.meta.dirname, 'peer.ts')

/**
 * A process of one zone connects to a server of another, and no policy can allow it: the addresses
 * are those of the two zones that every policy reserves for drills.
 */
export const zoneViolation: Drill = {
  name: 'zone-violation',
  title: 'A connection between two zones that the policy does not allow',
  raises: 'NET-001',
  attack: ['T1021'],
  safe: 'Both ends are programs of the drill, in two network namespaces of its own that are ' +
    `joined to nothing else; the addresses (${SOURCE}, ${TARGET}) are for documentation, and ` +
    `${BYTES} bytes are sent.`,
  needs: ['root', 'ip'],
  async run(context) {
    if (process.getuid?.() !== 0) {
      throw new DrillError('the drill makes network namespaces and needs root: run it with sudo')
    }
    context.say('making two network namespaces that are joined to nothing else')
    const pair = await joinedNamespaces(SOURCE, TARGET)
    const children: ChildProcess[] = []
    try {
      return await connectOnce(pair, context, children)
    } finally {
      for (const child of children) child.kill('SIGKILL')
      await pair.remove()
    }
  },
}

async function connectOnce(
  pair: NamespacePair, { say, signal }: DrillContext, children: ChildProcess[],
): Promise<DrillOutcome> {
  signal.throwIfAborted()
  const server = startIn(pair.b, children, signal, 'listen', TARGET)
  const port = Number(await firstLine(server, 'the server of the drill did not start'))
  say(`process ${server.pid} listens on ${TARGET}:${port}`)
  const ended = once(server, 'exit')
  const client = startIn(pair.a, children, signal, 'connect', SOURCE, TARGET, `${port}`, `${BYTES}`)
  say(`process ${client.pid} connects from ${SOURCE} and sends ${BYTES} bytes`)
  const [code] = await once(client, 'exit') as [number | null]
  signal.throwIfAborted()
  if (code !== 0) throw new DrillError(`the connection of the drill failed (exit status ${code})`)
  await ended
  return {
    zones: [...DRILL_ZONES],
    done: {
      from: SOURCE, to: `${TARGET}:${port}`, bytes: BYTES,
      client_pid: client.pid ?? 0, server_pid: server.pid ?? 0,
    },
  }
}

// `ip netns exec` becomes the program: the process that is started is the one that connects.
function startIn(
  namespace: string, children: ChildProcess[], signal: AbortSignal, ...words: string[]
): ChildProcess {
  const env = { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` }
  const child = spawn('ip', ['netns', 'exec', namespace, process.execPath, PEER, ...words], {
    env, stdio: ['ignore', 'pipe', 'inherit'],
  })
  child.on('error', () => undefined)
  signal.addEventListener('abort', () => child.kill('SIGKILL'), { once: true })
  children.push(child)
  return child
}

async function firstLine(child: ChildProcess, otherwise: string): Promise<string> {
  for await (const line of createInterface({ input: child.stdout! })) return line
  throw new DrillError(otherwise)
}
