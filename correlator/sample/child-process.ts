/** Starts child.ts and ends it by its own pid. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { CorrelatorConfig } from '../config.ts'

/** A correlator in another process. */
export interface ChildCorrelator {
  pid: number
  grpc_port: number
  http_port: number
  /** Standard error so far. */
  errors(): string
  /** Sends a signal and waits for the end; gives the exit code, null after a signal. */
  end(signal: NodeJS.Signals): Promise<number | null>
}

/** Rejects with its standard error when it does not start. `wrap` is put before the command. */
export async function startChild(
  config: CorrelatorConfig, wrap: readonly string[] = [],
): Promise<ChildCorrelator> {
  const script = new URL('./child.ts', import.meta.url).pathname
  const [command, ...args] = [...wrap, process.execPath, script, JSON.stringify(config)]
  const child = spawn(command, args, { stdio: 'pipe' })
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => { errors += text })
  const line = await Promise.race([firstLine(child), once(child, 'exit').then(() => null)])
  if (line === null) throw new Error(`the child ended: ${errors}`)
  const { grpc_port, http_port } = JSON.parse(line) as { grpc_port: number, http_port: number }
  return {
    pid: child.pid!, grpc_port, http_port, errors: () => errors,
    end: async (signal) => {
      const ended = once(child, 'exit')
      if (child.exitCode === null && child.signalCode === null) child.kill(signal)
      else return child.exitCode
      await ended
      return child.exitCode
    },
  }
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => createInterface({ input: child.stdout! }).once('line', resolve))
}
