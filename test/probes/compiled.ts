// The C programs of the probe tests, compiled once for all tests that use them.

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs'
import { basename, join } from 'node:path'

/** The programs, and what each is compiled with. */
const programs = new Map([
  ['datagram.c', ['clang', '-O2', '-Wall', '-Werror']],
  ['fuse.c', ['cc', '-O1']],
  ['overwrite.c', ['cc', '-O1']],
  ['store_read.c', ['cc', '-O1']],
  ['uring.c', ['cc', '-O1']],
])
const folder = join(import.meta.dirname, '../../build/test-programs')

/**
 * The path of a program of this folder, compiled now unless just that source was before: a compiler
 * takes an emulated machine seconds. Throws when it does not compile.
 */
export function compiled(source: string): string {
  const from = join(import.meta.dirname, source)
  const [compiler, ...words] = programs.get(source)!
  const of = createHash('sha256').update([compiler, ...words].join(' ')).update(readFileSync(from))
  // The name of the file is what the kernel calls the process.
  const own = join(folder, of.digest('hex').slice(0, 16))
  const path = join(own, basename(source, '.c'))
  if (existsSync(path)) return path
  mkdirSync(own, { recursive: true })
  // Two tests may want it at the same time; neither finds half a program.
  const fresh = `${path}.${process.pid}.new`
  execFileSync(compiler, [...words, from, '-o', fresh])
  renameSync(fresh, path)
  return path
}

/** Compiles all of them: for who runs the tests where a compiler is slow. */
export function compileAll(): void {
  for (const source of programs.keys()) compiled(source)
}
