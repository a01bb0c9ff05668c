/** Network namespaces in a row, joined by cables, for one drill. Needs root and `ip`. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { DrillError } from './drill.ts'

const run = promisify(execFile)
const NAME = /^vedette-drill-(\d+)-[0-9a-f]{6}-[a-c]$/

/** Namespaces whose only network are the cables from each to the next. Names are their own. */
export interface NamespaceRow {
  /** For `ip netns exec`, in the order of the addresses. */
  names: string[]
  /** Removes all; the cables go with them. Never throws. */
  remove(): Promise<void>
}

/**
 * Makes two or three namespaces with an address each; every one reaches its neighbours only. What a
 * drill that was killed left behind is removed first. Rejects with DrillError, then nothing is
 * left.
 */
export async function joinedNamespaces(...addresses: string[]): Promise<NamespaceRow> {
  await removeStale()
  const id = randomBytes(3).toString('hex')
  const names = addresses.map((_, i) => `vedette-drill-${process.pid}-${id}-${'abc'[i]}`)
  const row = { names, remove: () => removeAll(names) }
  try {
    for (const name of names) await ip('netns', 'add', name)
    for (let i = 0; i + 1 < names.length; i++) await join(names, addresses, i, id)
    return row
  } catch (error) {
    await row.remove()
    throw error
  }
}

/** A cable from one namespace to the next, with the addresses of both at its ends. */
async function join(
  names: readonly string[], addresses: readonly string[], i: number, id: string,
): Promise<void> {
  // Names of interfaces have at most 15 characters.
  const [left, right] = [`vd-${id}-${i}a`, `vd-${id}-${i}b`]
  const [a, b] = [names[i], names[i + 1]]
  await ip('link', 'add', left, 'netns', a, 'type', 'veth', 'peer', 'name', right, 'netns', b)
  await ip('-n', a, 'address', 'add', addresses[i], 'peer', `${addresses[i + 1]}/32`, 'dev', left)
  await ip('-n', b, 'address', 'add', addresses[i + 1], 'peer', `${addresses[i]}/32`, 'dev', right)
  await ip('-n', a, 'link', 'set', left, 'up')
  await ip('-n', b, 'link', 'set', right, 'up')
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
