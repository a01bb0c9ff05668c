// Agent and correlator as people run them: commands in processes of their own.

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { endWithUs } from './rig.ts'

const command = join(import.meta.dirname, '../cli/vedette.js')
/** As the systemd unit and the DaemonSet in deploy/ set it. */
const agentEnvironment = { NODE_OPTIONS: '--max-semi-space-size=1' }
/** Lines that are kept for the message when it ends too early. */
const linesMax = 20

export interface Half {
  pid: number
  /** What the first group of the pattern given to startHalf matched. */
  found: string
  /** Asks it to drain, and waits for its end. */
  stop(): Promise<void>
}

/** Starts `vedette WORDS…`; resolves when a line that it says matches `ready`. */
export async function startHalf(words: string[], ready: RegExp): Promise<Half> {
  const child = spawn(process.execPath, [command, ...words], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...(words[0] === 'agent' ? agentEnvironment : {}) },
  })
  endWithUs(child)
  const ended = new Promise<void>((resolve) => void child.on('close', () => resolve()))
  const said: string[] = []
  const found = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (said.push(line) > linesMax) said.shift()
      const match = ready.exec(line)
      if (match) resolve(match[1] ?? '')
    })
    void ended.then(() => reject(new Error(`vedette ${words[0]} ended:\n${said.join('\n')}`)))
  })
  return {
    pid: child.pid as number, found,
    stop: () => {
      child.kill('SIGTERM')
      return ended
    },
  }
}

/** Sum over all labels of a metric, for each of the names; 0 for one that is not there. */
export async function metricsOf(port: string, names: readonly string[]): Promise<number[]> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  const sums = new Map<string, number>()
  for (const line of text.split('\n')) {
    const [, name, value] = /^(\w+)(?:\{.*\})? (\S+)$/.exec(line) ?? []
    if (name) sums.set(name, (sums.get(name) ?? 0) + Number(value))
  }
  return names.map((name) => sums.get(name) ?? 0)
}
