// The command line on emulated processors. Where Node takes the types out of many files, V8 crashes
// there now and then: while it compiles that WebAssembly better it looks for the caller of a frame
// (`Check failed: it->second.Size() > offset` below Runtime_WasmTriggerTierUp). Then it is started
// again. Elsewhere a crash is a crash.

import { hostname } from 'node:os'
import { run, Running } from '../command-line.ts'
import type { Finished, RunOptions } from '../command-line.ts'

/** In the kernel rig. */
export const emulated = /^vedette-\d/.test(hostname())
/** Node starts in ten seconds there. */
export const waitMs = 240_000
const triesMax = 8

/** `vedette up` on ports that are free, once readers can ask it; and where they can. */
export async function startUp(
  words: readonly string[], options: RunOptions,
): Promise<{ up: Running, server: string }> {
  const free = ['--listen', '127.0.0.1:0', '--listen-http', '127.0.0.1:0',
    '--agent-listen-http', '127.0.0.1:0']
  for (let tries = 1; ; tries++) {
    const up = new Running(['up', ...free, ...words], { waitMs, ...options })
    try {
      const server = await up.until('the address of the readers',
        ({ stderr }) => /Readers +gRPC (\S+)/.exec(stderr)?.[1])
      return { up, server }
    } catch (error) {
      const { exitCode, signalCode } = up.child
      const finished = await up.stop('SIGKILL')
      const ended = exitCode !== null || signalCode !== null
      if (!ended || !isCrashOfNode(finished) || tries === triesMax) throw error
    }
  }
}

/** As run(). */
export async function runAgain(
  words: readonly string[], options: RunOptions = {},
): Promise<Finished> {
  for (let tries = 1; ; tries++) {
    const finished = await run(words, options)
    if (!isCrashOfNode(finished) || tries === triesMax) return finished
  }
}

function isCrashOfNode({ code, stderr }: Finished): boolean {
  const crashed = emulated && (code === null || /^# Fatal error in/m.test(stderr))
  if (crashed) {
    process.stderr.write(`!! Node crashed, and is started again: ${stderr.slice(0, 400)}\n`)
  }
  return crashed
}
