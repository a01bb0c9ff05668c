import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { basename, join } from 'node:path'

const REPOSITORY = join(import.meta.dirname, '../../..')

/** Compiles a C file of the repository into a folder; gives the path of the result. */
export function compile(source: string, dir: string, shared = false): string {
  mkdirSync(dir, { recursive: true })
  const output = join(dir, basename(source, '.c'))
  const kind = shared ? ['-shared', '-fPIC'] : []
  execFileSync('gcc', ['-O2', '-Wall', '-Werror', ...kind, '-o', output, join(REPOSITORY, source)])
  return output
}
