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

interface Run { env?: Record<string, string>, uid?: number }
interface Said { status: number | null, stdout: string, stderr: string }
/** What came out of the cache, and what should have been there. */
interface Loaded { status: number | null, hits: number, misses: number }

let home: string
let scratch: string
const cache = (): string => join(home, 'build/compile-cache')

function environment(more: Record<string, string> = {}): Record<string, string | undefined> {
  const names = /^(NODE_|VEDETTE_)/
  return { ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !names.test(name))), ...more }
}

/** Runs `vedette events --help`, or another command, of the copy. */
function vedette({ env, uid }: Run = {}, words = ['events', '--help']): Said {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(home, 'cli/vedette.js'), ...words],
    { encoding: 'utf8', uid, gid: uid, cwd: '/', maxBuffer: 64 * 1024 * 1024, env: environment(env) })
  return { status, stdout, stderr }
}

/** The same, with what Node says of its cache. Its threads write into each other's lines. */
function load({ env, uid }: Run = {}, words = ['events', '--help']): Loaded {
  const { status, stderr } = vedette({ env: { NODE_DEBUG_NATIVE: 'COMPILE_CACHE', ...env }, uid }, words)
  const count = (pattern: RegExp): number => [...stderr.matchAll(pattern)].length
  return {
    status, hits: count(/ was accepted,/g), misses: count(/no such file or directory|was rejected|mismatch/g),
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
    expect(load().misses).toBeGreaterThan(20)
    const second = load()
    expect(second).toMatchObject({ status: 0, misses: 0 })
    expect(second.hits).toBeGreaterThan(20)
    expect(load({ env: ofTheAgent })).toMatchObject({ status: 0, misses: 0 })
    const said = vedette()
    expect(said).toMatchObject({ status: 0, stderr: '' })
    expect(vedette({ env: { NODE_DISABLE_COMPILE_CACHE: '1' } })).toEqual(said)
  })

  it('goes with a checkout that moves', () => {
    vedette()
    const before = home
    renameSync(home, home = join(scratch, 'elsewhere'))
    const { status, misses } = load()
    renameSync(home, home = before)
    expect({ status, misses }).toEqual({ status: 0, misses: 0 })
  })

  it('is not used for a file that has changed', () => {
    vedette()
    const file = join(home, 'cli/events.ts')
    const text = readFileSync(file, 'utf8')
    const changed = text.replace("name: 'events'", "name: 'events', summary: 'changed since'")
      .replace(/\n {2}summary: .*/, '')
    writeFileSync(file, changed)
    expect(vedette().stdout).toContain('changed since')
    expect(load()).toMatchObject({ misses: 0 })
    writeFileSync(file, text)
    expect(vedette().stdout).not.toContain('changed since')
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
    expect(load({}, ['correlator', '--help'])).toMatchObject({ status: 0, misses: 0 })
  })

  it('is found by threads and by programs that a command starts', () => {
    vedette()
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
    vedette({ env: { NODE_COMPILE_CACHE: chosen } })
    expect(load({ env: { NODE_COMPILE_CACHE: chosen } })).toMatchObject({ status: 0, misses: 0 })
    expect(load({ env: { NODE_DISABLE_COMPILE_CACHE: '1' } })).toEqual({ status: 0, hits: 0, misses: 0 })
    expect(existsSync(cache())).toBe(false)
  })
})

describe('the folder of compiled code', () => {
  /** It works, without a word, and compiles anew. */
  function expectUnused(run: Run = {}): void {
    expect(load(run)).toEqual({ status: 0, hits: 0, misses: 0 })
    expect(vedette(run)).toMatchObject({ status: 0, stderr: '' })
  }

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
      expectUnused()
      expect(readdirSync(cache())).toEqual([])
    }
  })

  it('is not used when others may write to one of the folders in it', () => {
    vedette()
    chmodSync(join(cache(), readdirSync(cache())[0]), 0o777)
    expectUnused()
  })

  it.skipIf(!isRoot)('is not used when it belongs to another user', () => {
    vedette()
    chownSync(cache(), nobody, nobody)
    expectUnused()
    chownSync(cache(), 0, 0)
    chownSync(join(cache(), readdirSync(cache())[0]), nobody, nobody)
    expectUnused()
  })

  it.skipIf(!isRoot)('is used by root when it belongs to the owner of the code', () => {
    spawnSync('chown', ['-R', `${nobody}:${nobody}`, home])
    vedette({ uid: nobody })
    const asRoot = vedette()
    spawnSync('chown', ['-R', '0:0', home])
    expect(asRoot).toMatchObject({ status: 0, stderr: '' })
    expect(readdirSync(cache())).toHaveLength(2)
  })

  it('may be a file or a link: it does no harm', () => {
    writeFileSync(cache(), 'no folder')
    expectUnused()
    rmSync(cache())
    symlinkSync(tmpdir(), cache())
    expectUnused()
  })

  it.skipIf(!isRoot)('may be out of reach: it does no harm', () => {
    expectUnused({ uid: nobody })
    mkdirSync(cache())
    expectUnused({ uid: nobody })
    chmodSync(cache(), 0o700)
    expectUnused({ uid: nobody })
  })
})

describe('compiling ahead', () => {
  const ahead = (...users: number[]) => spawnSync('bash',
    [join(root, 'tools/compile-cache.sh'), home, ...users.map(String)],
    { encoding: 'utf8', env: environment({ NODE_OPTIONS: '--single-threaded' }) })

  it('takes all commands, their threads and the programs of drills', () => {
    expect(ahead()).toMatchObject({ status: 0, stdout: '', stderr: '' })
    const made = readdirSync(cache()).flatMap((name) => readdirSync(join(cache(), name)))
    expect(load({}, ['--help'])).toMatchObject({ status: 0, misses: 0 })
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
    const run = load({ uid: nobody, env: ofTheAgent }, ['agent', '--help'])
    expect(run).toMatchObject({ status: 0, misses: 0 })
    expect(run.hits).toBeGreaterThan(100)
    const names = readdirSync(cache())
    expect(names.map((name) => lstatSync(join(cache(), name)).isSymbolicLink())).toEqual([false, true])
    expect(names.every((name) => statSync(join(cache(), name)).uid === 0)).toBe(true)
  })
})
