/** Real Prometheus and Alertmanager on loopback, for tests. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { setTimeout } from 'node:timers/promises'

/** True when the command is there; says so on standard error when it is not. */
export function installed(command: string): boolean {
  const there = spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0
  if (!there) process.stderr.write(`SKIPPED: tests that need ${command}, which is not installed\n`)
  return there
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Runs `work` while a program runs that answers at `url`/-/ready. */
export async function withProgram<Result>(
  command: string, args: readonly string[], url: string, work: () => Promise<Result>,
): Promise<Result> {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => { errors += text })
  try {
    await eventually(async () => {
      if (child.exitCode !== null) throw new Error(`${command} ended: ${errors}`)
      return (await fetch(`${url}/-/ready`).catch(() => null))?.ok === true
    })
    return await work()
  } finally {
    if (child.exitCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  }
}

/** Waits until `condition` gives something other than false or null; rejects after 20 s. */
export async function eventually<Value>(
  condition: () => Promise<Value | false | null | undefined> | Value | false | null | undefined,
): Promise<Value> {
  const endMs = Date.now() + 20_000
  for (;;) {
    const value = await condition()
    if (value !== false && value !== null && value !== undefined) return value
    if (Date.now() > endMs) throw new Error(`waited in vain for ${String(condition).slice(0, 200)}`)
    await setTimeout(50)
  }
}
