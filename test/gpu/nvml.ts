// The stand-in for libnvidia-ml.so.1: built once per test file, copied per test.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const sources = ['standin.c', 'control.c', 'profiles.c'].map((name) => join(import.meta.dirname, 'nvml', name))

export type NvmlProfile = 'a100' | 'h100' | 'h100_cc' | 'h200' | 'b200'

/** Is there a C compiler? The addon needs one, too, so that it is missing nowhere where tests run. */
export const hasCompiler = spawnSync('cc', ['--version']).status === 0
if (!hasCompiler) console.warn('SKIPPED: the stand-in for libnvidia-ml.so.1 needs a C compiler (package gcc)')

/** A library of one's own, which does what its control file says. */
export class NvmlStandIn {
  readonly folder = mkdtempSync(join(tmpdir(), 'vedette-nvml-'))
  readonly path = join(this.folder, 'libnvidia-ml.so.1')
  readonly #built = join(this.folder, 'built.so')

  constructor() {
    const flags = ['-std=gnu11', '-Wall', '-Wextra', '-Werror', '-O1', '-shared', '-fPIC', '-fvisibility=hidden']
    const { status, stderr } = spawnSync('cc', [...flags, '-o', this.#built, ...sources], { encoding: 'utf8' })
    if (status !== 0) throw new Error(`the stand-in cannot be built: ${stderr}`)
    this.install()
    this.control({})
  }

  /** Puts the library (back) into its place, without the given functions. */
  install(without: readonly string[] = []): void { this.copy('libnvidia-ml.so.1', without) }

  /** Another such library beside it, with the same settings; its path. */
  copy(name: string, without: readonly string[]): string {
    const bytes = readFileSync(this.#built)
    // .dynstr comes before the texts of the program: the first place is the name of the symbol. The
    // loader finds its hash, and then another name.
    for (const symbol of without) {
      const at = bytes.indexOf(`\0${symbol}\0`)
      if (at < 0) throw new Error(`the stand-in has no ${symbol}`)
      bytes.write('x', at + 1)
    }
    // A new file each time: writing into a mapped library would change it under its user.
    const path = join(this.folder, name)
    rmSync(path, { force: true })
    writeFileSync(path, bytes)
    return path
  }

  /** The library is gone, as after the removal of the driver's packages. */
  remove(): void { rmSync(this.path, { force: true }) }

  /** Keys and values of the control file; see nvml/standin.h. `profile` is h100 unless set. */
  control(values: Record<string, string | number>): void {
    const lines = Object.entries(values).map(([key, value]) => `${key} ${value}\n`)
    // In one step: the library may read it at any time.
    writeFileSync(`${this.path}.new`, lines.join(''))
    renameSync(`${this.path}.new`, `${this.path}.control`)
  }

  /** Names of its functions. */
  symbols(): string[] {
    const text = sources.map((file) => readFileSync(file, 'utf8')).join('')
    const named = [...text.matchAll(/^(?:EXPORT int|TEXT|NUMBER|PAIR|NODE_TEXT|NODE_NUMBER)[ (](nvml\w+)/gm)]
    return named.map((match) => match[1])
  }

  close(): void { rmSync(this.folder, { recursive: true, force: true }) }
}
