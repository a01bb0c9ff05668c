// What a start leaves to the next one, in a copy of the product: its folder lies beside the code.
import { spawn, spawnSync } from 'node:child_process'
import {
  chmodSync, chownSync, cpSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync,
  renameSync, rmSync, statSync, symlinkSync, writeFileSync,
} from 'node:fs'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '..')
const folders = /^CODE='(.*)'$/m.exec(readFileSync(join(root, 'deploy/image/assemble.sh'), 'utf8'))![1]
const isRoot = process.getuid?.() === 0
if (!isRoot) process.stderr.write('!! SKIPPED: the compiled code of other users: needs root\n')

const nobody = 65534
/** As the unit of systemd and the DaemonSet set it. */
const ofTheAgent = { NODE_OPTIONS: '--max-semi-space-size=1' }

interface Finished { status: number | null, stdout: string, stderr: string, hits: number, misses: number }

let home: string
let scratch: string
const cache = (): string => join(home, 'build/compile-cache')

function environment(more: Record<string, string> = {}): Record<string, string | undefined> {
  const names = /^(NODE_|VEDETTE_)/
  return { ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !names.test(name))), ...more }
}

/** Runs the command of the copy, and counts what Node says of its cache. */
function vedette(words: string[], options: { env?: Record<string, string>, uid?: number } = {}): Finished {
  const { env, uid } = options
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(home, 'cli/vedette.js'), ...words], {
    encoding: 'utf8', uid, gid: uid, cwd: '/', maxBuffer: 64 * 1024 * 1024,
    env: environment({ NODE_DEBUG_NATIVE: 'COMPILE_CACHE', ...env }),
  })
  const [said, own] = [[] as string[], [] as string[]]
  for (const line of stderr.split('\n')) (/^(\[compile cache\]| -> )/.test(line) ? said : own).push(line)
  const count = (pattern: RegExp): number => said.filter((line) => pattern.test(line)).length
  return {
    status, stdout, stderr: own.join('\n'),
    hits: count(/ was accepted,/), misses: count(/no such file or directory|was rejected|mismatch/),
  }
}

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'vedette-compile-cache-'))
  chmodSync(scratch, 0o755)
  home = join(scratch, 'vedette')
  for (const name of folders.split(' ')) {
    cpSync(join(root, name), join(home, name), {
      recursive: true, filter: (path) => !/\.test\.ts$|\/native\/src/.test(path),
    })
  }
  cpSync(join(root, 'package.json'), join(home, 'package.json'))
  mkdirSync(join(home, 'build'))
  for (const name of ['node_modules', 'build/native']) symlinkSync(join(root, name), join(home, name))
})

beforeEach(() => rmSync(cache(), { recursive: true, force: true }))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

describe('compiled code', () => {
  it('is loaded by the second start, and says the same', () => {
    const first = vedette(['events', '--help'])
    expect(first).toMatchObject({ status: 0, stderr: '' })
    expect(first.misses).toBeGreaterThan(20)
    const second = vedette(['events', '--help'])
    expect(second).toMatchObject({ status: 0, misses: 0, stderr: '', stdout: first.stdout })
    expect(second.hits).toBeGreaterThan(20)
    expect(vedette(['events', '--help'], { env: ofTheAgent })).toMatchObject({ misses: 0 })
  })

  it('goes with a checkout that moves', () => {
    vedette(['events', '--help'])
    const before = home
    renameSync(home, home = join(scratch, 'elsewhere'))
    const { status, misses } = vedette(['events', '--help'])
    renameSync(home, home = before)
    expect({ status, misses }).toEqual({ status: 0, misses: 0 })
  })

  it('is not used for a file that has changed', () => {
    vedette(['events', '--help'])
    const file = join(home, 'cli/events.ts')
    const text = readFileSync(file, 'utf8')
    const changed = text.replace("name: 'events'", "name: 'events', summary: 'changed since'")
      .replace(/\n {2}summary: .*/, '')
    writeFileSync(file, changed)
    expect(vedette(['events', '--help']).stdout).toContain('changed since')
    expect(vedette(['events', '--help'])).toMatchObject({ misses: 0 })
    writeFileSync(file, text)
    expect(vedette(['events', '--help']).stdout).not.toContain('changed since')
  })

  it('is left by a half that is asked to end', async () => {
    const child = spawn(process.execPath, [join(home, 'cli/vedette.js'), 'correlator', '--data',
      join(scratch, 'data'), '--listen', '127.0.0.1:0', '--listen-http', '127.0.0.1:0'],
    { stdio: ['ignore', 'ignore', 'pipe'], env: environment() })
    for await (const text of child.stderr.setEncoding('utf8')) {
      if (/gRPC on port/.test(String(text))) break
    }
    child.kill('SIGTERM')
    expect(await once(child, 'exit')).toEqual([0, null])
    expect(vedette(['correlator', '--help'])).toMatchObject({ status: 0, misses: 0 })
  })

  it('is found by threads and by programs that a command starts', () => {
    vedette(['events', '--help'])
    const made = join(cache(), readdirSync(cache())[0])
    const ask = "module.getCompileCacheDir() + ' ' + process.env.NODE_COMPILE_CACHE_PORTABLE"
    const script = `
      import module from 'node:module'
      import { execFileSync } from 'node:child_process'
      import { Worker } from 'node:worker_threads'
      const { keepCompiledCode } = await import('${home}/cli/compile-cache.js')
      keepCompiledCode()
      console.log(execFileSync(process.execPath, ['-p', "const module = require('module'); ${ask}"]) + '')
      new Worker("const module = require('module'); console.log(${ask})",
        { eval: true, execArgv: [] })`
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script],
      { encoding: 'utf8', env: environment() })
    expect(stderr).toBe('')
    expect(stdout.split('\n').filter(Boolean)).toEqual([`${made} 1`, `${made} 1`])
  })

  it('lies where NODE_COMPILE_CACHE says, and nowhere with NODE_DISABLE_COMPILE_CACHE', () => {
    const chosen = join(scratch, 'chosen')
    vedette(['events', '--help'], { env: { NODE_COMPILE_CACHE: chosen } })
    expect(vedette(['events', '--help'], { env: { NODE_COMPILE_CACHE: chosen } })).toMatchObject({ misses: 0 })
    expect(vedette(['events', '--help'], { env: { NODE_DISABLE_COMPILE_CACHE: '1' } }))
      .toMatchObject({ status: 0, stderr: '', hits: 0, misses: 0 })
    expect(existsSync(cache())).toBe(false)
  })
})

describe('the folder of compiled code', () => {
  const unused = { status: 0, stderr: '', hits: 0, misses: 0 }

  it('cannot be written by others, whatever the mask of who starts', () => {
    spawnSync('/bin/sh', ['-c', 'umask 000; exec "$@"', 'sh', process.execPath,
      join(home, 'cli/vedette.js'), 'events', '--help'], { env: environment() })
    const made = ['', ...readdirSync(cache())].map((name) => statSync(join(cache(), name)).mode & 0o777)
    expect(made).toEqual([0o755, 0o755])
  })

  it('is not used when its group, or others, may write there', () => {
    for (const mode of [0o775, 0o757, 0o1777]) {
      mkdirSync(cache(), { recursive: true })
      chmodSync(cache(), mode)
      expect(vedette(['events', '--help'])).toMatchObject(unused)
      expect(readdirSync(cache())).toEqual([])
    }
  })

  it('is not used when others may write to one of the folders in it', () => {
    vedette(['events', '--help'])
    chmodSync(join(cache(), readdirSync(cache())[0]), 0o777)
    expect(vedette(['events', '--help'])).toMatchObject(unused)
  })

  it.skipIf(!isRoot)('is not used when it belongs to another user', () => {
    vedette(['events', '--help'])
    chownSync(cache(), nobody, nobody)
    expect(vedette(['events', '--help'])).toMatchObject(unused)
    chownSync(cache(), 0, 0)
    chownSync(join(cache(), readdirSync(cache())[0]), nobody, nobody)
    expect(vedette(['events', '--help'])).toMatchObject(unused)
  })

  it.skipIf(!isRoot)('is used by root when it belongs to the owner of the code', () => {
    spawnSync('chown', ['-R', `${nobody}:${nobody}`, home])
    vedette(['events', '--help'], { uid: nobody })
    const asRoot = vedette(['events', '--help'])
    spawnSync('chown', ['-R', '0:0', home])
    expect(asRoot).toMatchObject({ status: 0, stderr: '' })
    expect(readdirSync(cache())).toHaveLength(2)
  })

  it('may be a file or a link: it works, without a word, and compiles anew', () => {
    writeFileSync(cache(), 'no folder')
    expect(vedette(['events', '--help'])).toMatchObject(unused)
    rmSync(cache())
    symlinkSync(tmpdir(), cache())
    expect(vedette(['events', '--help'])).toMatchObject(unused)
  })

  it.skipIf(!isRoot)('may be out of reach: it works, without a word, and compiles anew', () => {
    expect(vedette(['events', '--help'], { uid: nobody })).toMatchObject(unused)
    mkdirSync(cache())
    expect(vedette(['events', '--help'], { uid: nobody })).toMatchObject(unused)
    chmodSync(cache(), 0o700)
    expect(vedette(['events', '--help'], { uid: nobody })).toMatchObject(unused)
  })
})

describe('compiling ahead', () => {
  const ahead = (...users: number[]) => spawnSync('bash',
    [join(root, 'tools/compile-cache.sh'), home, ...users.map(String)],
    { encoding: 'utf8', env: environment({ NODE_OPTIONS: '--single-threaded' }) })

  it('takes all commands, their threads and the programs of drills', () => {
    expect(ahead()).toMatchObject({ status: 0, stdout: '', stderr: '' })
    const made = readdirSync(cache()).flatMap((name) => readdirSync(join(cache(), name)))
    expect(vedette(['--help'])).toMatchObject({ status: 0, misses: 0 })
    const env = environment({ NODE_COMPILE_CACHE: cache(), NODE_COMPILE_CACHE_PORTABLE: '1' })
    spawnSync(process.execPath, [join(home, 'drills/peer.ts')], { env })
    spawnSync(process.execPath, ['--eval', `
      const thread = new (require('worker_threads').Worker)(process.argv[1], { workerData: {} })
      thread.on('error', () => undefined)
      thread.postMessage({})`, join(home, 'agent/stores/artifacts/thread.ts')], { env })
    expect(readdirSync(cache()).flatMap((name) => readdirSync(join(cache(), name)))).toEqual(made)
  })

  it.skipIf(!isRoot)('serves users who may not write there', () => {
    expect(ahead(nobody, 0).status).toBe(0)
    const run = vedette(['agent', '--help'], { uid: nobody, env: ofTheAgent })
    expect(run).toMatchObject({ status: 0, misses: 0, stderr: '' })
    expect(run.hits).toBeGreaterThan(100)
    const names = readdirSync(cache())
    expect(names.map((name) => lstatSync(join(cache(), name)).isSymbolicLink())).toEqual([false, true])
    expect(names.every((name) => statSync(join(cache(), name)).uid === 0)).toBe(true)
  })
})
