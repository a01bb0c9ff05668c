// What the benches share of the machine: C programs that make load, and a running kernel to watch.

import { execFileSync, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const here = import.meta.dirname

const atExit: (() => void)[] = []
process.on('exit', () => atExit.forEach((undo) => undo()))

/** Ends a child at the latest with this process. */
export function endWithUs(child: ChildProcess): void {
  atExit.push(() => void child.kill('SIGKILL'))
}

/** A folder that is gone when the process is. */
export function temporaryFolder(parent = tmpdir()): string {
  const folder = mkdtempSync(join(parent, 'vedette-bench-'))
  atExit.push(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Compiles bench/NAME.c; the path of the program. */
export function compile(name: string, folder: string): string {
  const program = join(folder, name)
  const source = join(here, `${name}.c`)
  execFileSync('clang', ['-O2', '-Wall', '-Werror', source, '-o', program, '-lbpf'])
  return program
}

/** Compiles bench/NAME.bpf.c as the build compiles probes; the path of the object. */
export function compileBpf(name: string, folder: string): string {
  const object = join(folder, `${name}.bpf.o`)
  const machine = process.arch === 'arm64' ? 'arm64' : 'x86'
  const headers = `/usr/include/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`
  execFileSync('clang', [
    '-O2', '-g', '-target', 'bpf', `-D__TARGET_ARCH_${machine}`, '-std=gnu11', '-Wall', '-Werror',
    ...['gen', 'lib', 'lib/network'].flatMap((place) => ['-I', join(here, '../bpf', place)]),
    '-idirafter', headers,
    '-c', join(here, `${name}.bpf.c`), '-o', object,
  ])
  return object
}

/** A program of the bench that makes what it is told to: flood.c or storm.c. */
export interface LoadMaker {
  pid: number
  /** So many, so many per second (0: as fast as it goes); how long it took, seconds. */
  make(count: number, rate: number): Promise<number>
  end(): void
}

/** Speaks the two lines that flood.c and storm.c have in common. */
export async function loadMaker(child: ChildProcess): Promise<LoadMaker> {
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
  const next = async (): Promise<string> => {
    const { value, done } = await lines.next()
    if (done) throw new Error(`${child.spawnfile} ended: see above`)
    return value
  }
  child.stdin!.on('error', () => {})
  endWithUs(child)
  await next()
  return {
    pid: child.pid as number,
    make: async (count, rate) => {
      child.stdin!.write(`${count} ${rate}\n`)
      return Number((await next()).split(' ')[1]) / 1e9
    },
    end: () => child.stdin!.end(),
  }
}

/** Floods the ring of the process `pid`, which may be this one. */
export async function startFlood(pid: number, folder: string): Promise<LoadMaker> {
  const object = compileBpf('flood', folder)
  const program = String(programIdOf(pid))
  return loadMaker(spawn(compile('flood', folder), [object, program], {
    stdio: ['pipe', 'pipe', 'inherit'],
  }))
}

/** An attached BPF program of a process: each of our probes uses the ring and the counters. */
function programIdOf(pid: number): number {
  for (const fd of readdirSync(`/proc/${pid}/fdinfo`)) {
    const link = textOf(`/proc/${pid}/fdinfo/${fd}`)
    const id = /^prog_id:\s*(\d+)/m.exec(link)?.[1]
    if (id && link.includes('link_type:')) return Number(id)
  }
  throw new Error(`process ${pid} holds no attached BPF program`)
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
