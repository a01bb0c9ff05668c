// Runs the command line as a user does: a child process, its output, its exit code.

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export const cli = join(import.meta.dirname, '../cli/vedette.js')

const waitMsMax = 25_000

/** What a finished command left. */
export interface Finished { code: number | null, stdout: string, stderr: string }

export interface RunOptions {
  /** Added to an environment without VEDETTE_*. */
  env?: Record<string, string>
  /** Runs in this cgroup: its path in the file system. */
  cgroup?: string
  cwd?: string
  /** Shell words run first, as root, in a mount namespace of its own. */
  privately?: string
  /** Another user and group. */
  uid?: number
  /** How long `until` waits; emulated machines are slow. */
  waitMs?: number
}

/** A command that runs. */
export class Running {
  stdout = ''
  stderr = ''
  readonly child: ChildProcess
  readonly #end: Promise<number | null>
  readonly #waitMs: number

  constructor(words: readonly string[], options: RunOptions = {}) {
    this.#waitMs = options.waitMs ?? waitMsMax
    const env = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !name.startsWith('VEDETTE_')))
    const enter = ['/bin/sh', '-c', 'echo $$ > "$0" && exec "$@"', `${options.cgroup}/cgroup.procs`]
    const alone = ['unshare', '-m', 'sh', '-c', `${options.privately} && exec "$0" "$@"`]
    const command = [...options.cgroup ? enter : [], ...options.privately ? alone : [],
      process.execPath, cli, ...words]
    this.child = spawn(command[0], command.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe'], cwd: options.cwd, uid: options.uid, gid: options.uid,
      env: { ...env, NO_COLOR: '1', ...options.env },
    })
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => { this.stdout += text })
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => { this.stderr += text })
    this.#end = new Promise((resolve) => this.child.on('close', (code) => resolve(code)))
  }

  /** Waits until `find` gives something else than undefined, or throws with the output so far. */
  async until<T>(what: string, find: (running: Running) => T | undefined): Promise<T> {
    const end = performance.now() + this.#waitMs
    for (;;) {
      const found = find(this)
      if (found !== undefined) return found
      if (performance.now() > end || (this.child.exitCode ?? this.child.signalCode) !== null) break
      await sleep(20)
    }
    throw new Error(`waited for ${what}; stdout:\n${this.stdout}\nstderr:\n${this.stderr}`)
  }

  async finished(): Promise<Finished> {
    const code = await this.#end
    return { code, stdout: this.stdout, stderr: this.stderr }
  }

  /** Asks to end, and waits for it. */
  stop(signal: NodeJS.Signals = 'SIGINT'): Promise<Finished> {
    this.child.kill(signal)
    return this.finished()
  }
}

/** Runs a command to its end. */
export function run(words: readonly string[], options: RunOptions = {}): Promise<Finished> {
  return new Running(words, options).finished()
}

/** The objects of JSON lines. */
export function jsonLines(text: string): Record<string, unknown>[] {
  return text.split('\n').filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}
