// The container image: built as a site would, from a base made here. Takes minutes, so it runs only
// when VEDETTE_TEST_IMAGE=1 (tools/test.sh sets it when there is time).
import { execFileSync } from 'node:child_process'
import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { ImageStore, imageToolsMissing } from './image/buildah.ts'
import type { Sandbox } from './image/buildah.ts'

const root = join(import.meta.dirname, '..')
const profile = '/usr/share/containers/seccomp.json'
const reason = process.env.VEDETTE_TEST_IMAGE === '1' ? imageToolsMissing() : 'VEDETTE_TEST_IMAGE is not 1'
if (reason) process.stderr.write(`!! SKIPPED: the container image: ${reason}\n`)

const image = 'localhost/vedette:test'
const command = ['/usr/bin/node', '/opt/vedette/cli/vedette.js']

/** What the DaemonSet gives the agent. */
function agentSandbox(): Sandbox {
  const text = readFileSync(join(root, 'deploy/kubernetes/base/agent.yaml'), 'utf8')
  const { spec } = parse(text).spec.template
  const { runAsUser, runAsGroup } = spec.securityContext
  return {
    capabilities: spec.containers[0].securityContext.capabilities.add,
    user: `${runAsUser}:${runAsGroup}`,
  }
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()
}

/** Something that the kernel would run without an interpreter. */
function isProgram(path: string): boolean {
  const facts = lstatSync(path)
  return facts.isFile() && facts.size > 4 && readFileSync(path).toString('latin1', 0, 4) === '\x7fELF'
}

describe.skipIf(reason)(`the container image ${reason}`, () => {
  let store: ImageStore
  let files: string
  let scratch: string

  beforeAll(() => {
    scratch = mkdtempSync(join(tmpdir(), 'vedette-image-'))
    store = new ImageStore(join(scratch, 'store'))
    const took = (what: string, work: () => void): void => {
      const began = Date.now()
      work()
      process.stderr.write(`image: ${what} in ${Math.round((Date.now() - began) / 1000)} s\n`)
    }
    took('base', () => store.importBase('localhost/base', join(root, 'build/image/base.tar')))
    took('build', () => store.build(image, 'localhost/base'))
    files = store.mount(image)
    const size = execFileSync('du', ['-sm', files], { encoding: 'utf8' }).split('\t')[0]
    process.stderr.write(`image: ${size} MiB unpacked\n`)
  }, 900_000)

  afterAll(() => {
    store?.remove()
    rmSync(scratch, { recursive: true, force: true })
  })

  it('holds no shell, no package manager and no other program than node', () => {
    const all = filesIn(files)
    const programs = all.filter((path) => !/\.(so(\.\d+)*|node)$/.test(path) && isProgram(join(files, path)))
    expect(programs).toEqual(['usr/bin/node'])
    const shells = /^(sh|dash|bash|ash|zsh|busybox|apt|apt-get|dpkg|npm|npx|env|perl|python\d?)$/
    expect(all.filter((path) => /(^|\/)s?bin\//.test(path) && shells.test(basename(path)))).toEqual([])
  })

  it('holds neither tests, sources in C, nor packages for development', () => {
    const ours = filesIn(join(files, 'opt/vedette'))
    expect(ours.filter((path) => !path.startsWith('node_modules/') &&
      /\.(test\.ts|fuzz\.ts|c|cc|h)$/.test(path))).toEqual([])
    const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    const packages = new Set(readdirSync(join(files, 'opt/vedette/node_modules')))
    expect(Object.keys(devDependencies).filter((name) => !name.startsWith('@') && packages.has(name)))
      .toEqual([])
  })

  it('belongs to root but for the data folder of its user', () => {
    const foreign = filesIn(files).filter((path) => lstatSync(join(files, path)).uid !== 0)
    expect(foreign).toEqual(['var/lib/vedette'])
    expect(statSync(join(files, 'var/lib/vedette')).uid).toBe(65532)
    const { User, Entrypoint, Labels } = store.config(image)
    expect(User).toBe('65532:65532')
    expect(Entrypoint).toEqual(command)
    expect(Labels['org.opencontainers.image.licenses']).toBe('Apache-2.0')
  })

  it('runs every command as its own user without any right', () => {
    const { status, stdout } = store.run(image, { capabilities: [] }, [...command, '--help'])
    expect(status).toBe(0)
    for (const name of ['agent', 'correlator', 'doctor', 'replay']) expect(stdout).toContain(`  ${name}`)
  })

  it('starts from code that was compiled with it, as both of its users', () => {
    const words = [command[1], 'agent', '--help']
    const script = `
      const { spawnSync } = require('node:child_process')
      const { status, stderr } = spawnSync(process.execPath, ${JSON.stringify(words)}, { encoding: 'utf8',
        maxBuffer: 2 ** 26, env: { NODE_DEBUG_NATIVE: 'COMPILE_CACHE', NODE_OPTIONS: '--max-semi-space-size=1' } })
      const count = (pattern) => stderr.split('\\n').filter((line) => pattern.test(line)).length
      console.log(JSON.stringify({ status, uid: process.getuid(), hits: count(/ was accepted,/) > 100,
        misses: count(/no such file or directory|was rejected|mismatch/) }))`
    const facts = ['0:0', '65532:65532'].map((user) => JSON.parse(
      store.run(image, { capabilities: [], user }, [command[0], '--eval', script]).stdout))
    const compiled = { status: 0, hits: true, misses: 0 }
    expect(facts).toEqual([{ ...compiled, uid: 0 }, { ...compiled, uid: 65532 }])
  })

  it('refuses a shell, because there is none', () => {
    expect(store.run(image, { capabilities: [] }, ['/bin/sh', '-c', 'true']).status).not.toBe(0)
  })

  it('loads the probes with the capabilities of the DaemonSet', () => {
    const facts = doctor({ ...agentSandbox(), seccomp: 'unconfined' })
    expect(facts.get('capabilities')).toBe('have')
    expect(working(facts)).toEqual(expect.arrayContaining(portable))
  })

  it('loads the probes under the seccomp profile that we make for CRI-O', () => {
    const made = join(scratch, 'vedette-agent.json')
    writeFileSync(made, execFileSync('jq', ['-f', join(root, 'deploy/kubernetes/seccomp.jq'), profile]))
    const facts = doctor({ ...agentSandbox(), seccomp: made })
    expect(facts.get('seccomp')).toBe('degraded')
    expect(working(facts)).toEqual(expect.arrayContaining(portable))
  })

  it('loads no probe and says why when a capability is missing', () => {
    const sandbox = agentSandbox()
    const facts = doctor({
      ...sandbox, seccomp: 'unconfined',
      capabilities: sandbox.capabilities.filter((name) => name !== 'BPF'),
    })
    expect(facts.get('capabilities')).toBe('missing')
    expect(working(facts)).toEqual([])
  })

  it('carries events of this kernel into the log of a correlator, without a right more', () => {
    const script = readFileSync(join(root, 'test/image/both-halves.mjs'), 'utf8')
    const { status, stdout, stderr } = store.run(image, { ...agentSandbox(), seccomp: 'unconfined' },
      [command[0], '--input-type=module', '--eval', script])
    expect(status, stderr).toBe(0)
    const { ready, execs } = JSON.parse(stdout.trim().split('\n').at(-1)!)
    expect(ready).toBe('ok')
    expect(execs).toBeGreaterThan(0)
  })

  /** Programs that every kernel with BTF takes. */
  const portable = ['process_exec_tp_btf', 'process_exit_tp_btf', 'connection_state_tp_btf']

  /** State by name of the fact. */
  function doctor(sandbox: Sandbox): Map<string, string> {
    const { stdout, stderr } = store.run(image, sandbox, [...command, 'doctor', '--output', 'json'])
    const lines = stdout.trim().split('\n').filter((line) => line.startsWith('{'))
    if (lines.length === 0) throw new Error(`doctor said nothing: ${stderr}`)
    return new Map(lines.map((line) => JSON.parse(line)).map(({ name, state }) => [name, state]))
  }

  function working(facts: Map<string, string>): string[] {
    return [...facts].filter(([name, state]) => name.startsWith('program ') && state === 'have')
      .map(([name]) => name.slice('program '.length))
  }
})
