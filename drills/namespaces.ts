/** Two network namespaces joined by a cable, for one drill. Needs root and `ip`. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { DrillError } from './drill.ts'

const run = promisify(execFile)
const NAME = /^vedette-drill-(\d+)-[0-9a-f]{6}-[ab]$/

/** Two namespaces whose only network is the cable between them. Names are their own. */
export interface NamespacePair {
  /** Names for `ip netns exec`. */
  a: string
  b: string
  /** Removes both; the cable goes with them. Never throws. */
  remove(): Promise<void>
}

/**
 * Makes the pair: `addressA` in one, `addressB` in the other, nothing else reachable. What a drill
 * that was killed left behind is removed first. Rejects with DrillError, then nothing is left.
 */
export async function joinedNamespaces(addressA: string, addressB: string): Promise<NamespacePair> {
  await removeStale()
  const id = randomBytes(3).toString('hex')
  const names = (['a', 'b'] as const).map((end) => `vedette-drill-${process.pid}-${id}-${end}`)
  // Names of interfaces have at most 15 characters.
  const cables = ['a', 'b'].map((end) => `vd-${id}-${end}`)
  const [a, b] = names
  const pair = { a, b, remove: () => removeAll(names) }
  try {
    for (const name of names) await ip('netns', 'add', name)
    await ip('link', 'add', cables[0], 'netns', a, 'type', 'veth', 'peer', 'name', cables[1],
      'netns', b)
    await ip('-n', a, 'address', 'add', addressA, 'peer', `${addressB}/32`, 'dev', cables[0])
    await ip('-n', b, 'address', 'add', addressB, 'peer', `${addressA}/32`, 'dev', cables[1])
    for (const [i, name] of names.entries()) await ip('-n', name, 'link', 'set', cables[i], 'up')
    return pair
  } catch (error) {
    await pair.remove()
    throw error
  }
}

async function ip(...words: string[]): Promise<string> {
  // A user's PATH often lacks the folders of root.
  const env = { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` }
  try {
    return (await run('ip', words, { env, timeout: 10_000 })).stdout
  } catch (error) {
    const { code, stderr } = error as NodeJS.ErrnoException & { stderr?: string }
    if (code === 'ENOENT') {
      throw new DrillError('the program ip is missing: apt-get install iproute2', { cause: error })
    }
    const why = (stderr ?? String(error)).trim()
    throw new DrillError(`ip ${words.join(' ')}: ${why}`, { cause: error })
  }
}

async function removeAll(names: readonly string[]): Promise<void> {
  for (const name of names) await ip('netns', 'delete', name).catch(() => undefined)
}

async function removeStale(): Promise<void> {
  const there = (await ip('netns', 'list')).split('\n').map((line) => line.split(' ')[0])
  await removeAll(there.filter((name) => {
    const owner = Number(NAME.exec(name)?.[1])
    return Number.isInteger(owner) && !isAlive(owner)
  }))
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
