import { execFile } from 'node:child_process'
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { DrillError } from './drill.ts'
import type { Drill } from './drill.ts'

/** Modules of Linux that drive nothing, and make nothing with these options. */
const HARMLESS: readonly (readonly [folder: string, module: string, ...options: string[]])[] = [
  ['drivers/net', 'nlmon'],
  ['drivers/net', 'dummy', 'numdummies=0'],
  ['drivers/net', 'ifb', 'numifbs=0'],
]
const run = promisify(execFile)

/** A kernel module out of a temporary folder, as a rootkit comes. */
export const moduleLoad: Drill = {
  name: 'module-load',
  title: 'A kernel module that is loaded from a temporary folder',
  raises: 'GPU-007',
  attack: ['T1547.006'],
  safe: 'The module is one of the running kernel\'s own (nlmon, dummy or ifb), copied, with its ' +
    'signature; it drives no hardware, makes no network interface, and is unloaded at once.',
  needs: ['root', 'insmod', 'a kernel with modules'],
  async run({ say, signal }) {
    if (process.getuid?.() !== 0) {
      throw new DrillError('the drill loads a kernel module and needs root: run it with sudo')
    }
    const { file, module, options } = harmlessModule()
    const folder = mkdtempSync(join(tmpdir(), 'vedette-drill-'))
    try {
      const copy = join(folder, file.slice(file.lastIndexOf('/') + 1))
      copyFileSync(file, copy)
      signal.throwIfAborted()
      say(`loading the module ${module} from ${copy}`)
      await call('insmod', copy, ...options)
      say('unloading it')
      await call('rmmod', module)
      return { zones: [], done: { module, path: copy } }
    } finally {
      // Nothing is left, also when it was loaded and the rest went wrong.
      if (isLoaded(module)) await call('rmmod', module).catch(() => undefined)
      rmSync(folder, { recursive: true, force: true })
    }
  },
}

/** One that is there and not in use. Throws DrillError when there is none. */
export function harmlessModule(
  root = '/',
): { file: string, module: string, options: readonly string[] } {
  if (!existsSync(join(root, 'proc/modules'))) {
    throw new DrillError('this kernel is built without modules: nobody can load one, and there ' +
      'is nothing to see')
  }
  const tree = join(root, 'lib/modules', release(), 'kernel')
  for (const [folder, module, ...options] of HARMLESS) {
    const name = namesIn(join(tree, folder)).find((one) =>
      new RegExp(`^${module}\\.ko(?:\\.xz|\\.zst|\\.gz)?$`).test(one))
    if (name !== undefined && !isLoaded(module, root)) {
      return { file: join(tree, folder, name), module, options }
    }
  }
  const names = HARMLESS.map(([, module]) => module).join(', ')
  throw new DrillError(`of the modules ${names} none is ` +
    `below ${tree} and not in use: install the modules of the running kernel`)
}

function isLoaded(module: string, root = '/'): boolean {
  return new RegExp(`^${module} `, 'm').test(readFileSync(join(root, 'proc/modules'), 'utf8'))
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

async function call(program: string, ...words: string[]): Promise<void> {
  const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` }
  try {
    await run(program, words, { env })
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string }
    throw new DrillError(`${program} ${words.join(' ')} failed: ${stderr?.trim() || message}`,
      { cause: error })
  }
}
