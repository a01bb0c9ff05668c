import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createHash, generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import {
  appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync,
  statSync, symlinkSync, writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { signedManifest } from '../../test/stores/manifest-sample.ts'
import type { ArtifactDigest, Process } from '../../proto/gen/events.ts'
import { keyIdOf } from '../../stores/manifest/trust.ts'
import type { StoreRule } from '../../stores/rule.ts'
import { ClockWithoutAddon } from '../clock.ts'
import type { AgentError } from '../errors.ts'
import { Digests } from './digests.ts'
import type { DigestsOptions } from './digests.ts'

const key = generateKeyPairSync('ed25519')
const pem = key.publicKey.export({ type: 'spki', format: 'pem' }) as string
const sha256 = (content: string): string => createHash('sha256').update(content).digest('hex')
const reader: Partial<Process> = { pid: 2 ** 30, start_time: 7n, exe: '/usr/bin/vllm' }
type Told = Partial<ArtifactDigest> & { process?: Partial<Process> }

let dir: string
let open: Digests[] = []
let children: ChildProcess[] = []
beforeEach(() => { dir = mkdtempSync(join(tmpdir(), 'vedette-digests-')) })
afterEach(async () => {
  for (const digests of open) digests.stop()
  for (const child of children) {
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }
  open = []
  children = []
  rmSync(dir, { recursive: true })
})

function write(name: string, content: string): string {
  const path = join(dir, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
  return path
}

function rule(more: Partial<StoreRule> = {}): StoreRule {
  return { name: 'llama', kind: 'weights', paths: [dir], mountSources: [], fileSystems: [],
    manifest: join(dir, 'model.sig'), manifestKeys: [pem], ...more }
}

function start(rules: StoreRule[], options: Partial<DigestsOptions> = {}) {
  const told: Told[] = []
  const complaints: AgentError[] = []
  const digests = new Digests({
    clock: new ClockWithoutAddon(), nodeRoots: ['/'], bytesPerSecond: 1e9, bytesPerDay: 1e12, settleMs: 0,
    againMs: 0, complain: (error) => complaints.push(error),
    add: (_kind, values, _time, process) => told.push({ ...values, process }), ...options,
  })
  open.push(digests)
  digests.setRules(rules)
  const note = (path: string, changed = false, process = reader): void => {
    const { ino, dev } = statSync(path, { bigint: true })
    // Devices of tests have small numbers.
    const device = Number((dev >> 8n & 0xfffn) << 20n | dev & 0xffn)
    digests.note({ store: 'llama', path, inode: ino, device, changed, process })
  }
  const settled = () => expect.poll(() => digests.waiting, { timeout: 20_000 }).toBe(0)
  return { digests, told, complaints, note, settled }
}

const sign = (files: Record<string, string>): void => {
  writeFileSync(join(dir, 'model.sig'), signedManifest(files, key.privateKey, key.publicKey))
}
const of = (told: Told[], name: string): Told[] => told.filter(({ path }) => path === join(dir, name))

describe('files of a store of artifacts', () => {
  it('are told with what the manifest says of them, with those that nobody named', async () => {
    const weights = 'w'.repeat(10_000_000)
    const files = { 'a.safetensors': weights, 'sub/b.safetensors': 'b', 'c.json': '{}' }
    for (const [name, content] of Object.entries(files)) write(name, content)
    sign(files)
    write('sub/b.safetensors', 'tampered')
    const { note, settled, told, digests } = start([rule()])
    note(join(dir, 'a.safetensors'))
    await settled()
    expect(of(told, 'a.safetensors')).toEqual([{
      path: join(dir, 'a.safetensors'), store: 'llama', bytes: weights.length, sha256: sha256(weights),
      verdict: 'matches', reason: undefined, manifest_path: join(dir, 'model.sig'),
      key_id: keyIdOf(key.publicKey), inode: statSync(join(dir, 'a.safetensors'), { bigint: true }).ino,
      device: expect.any(Number), process: reader,
    }])
    const [differs] = of(told, 'sub/b.safetensors')
    expect(differs).toMatchObject({ verdict: 'differs', sha256: sha256('tampered') })
    expect(differs.reason).toBe(`the manifest says sha256 ${sha256('b')}, it is ${sha256('tampered')}`)
    expect(of(told, 'c.json')).toMatchObject([{ verdict: 'matches' }])
    expect(told).toHaveLength(3)
    expect(digests.counts).toMatchObject({ matches: 2, differs: 1, not_listed: 0, unknown: 0, refused: 0 })
  })

  it('are read by a thread behind everything else', async () => {
    const niceness = () => readdirSync('/proc/self/task').map((id) =>
      Number(readFileSync(`/proc/self/task/${id}/stat`, 'latin1').split(') ').at(-1)!.split(' ')[16]))
    const behind = () => niceness().filter((nice) => nice === 19).length
    // That of the test before may still be ending.
    await expect.poll(behind, { timeout: 20_000 }).toBe(0)
    const path = write('a.bin', 'one')
    const { note, settled } = start([rule()])
    note(path)
    await settled()
    expect(behind()).toBe(1)
  })

  it('are told again when they changed, and only then', async () => {
    const path = write('a.bin', 'one')
    sign({ 'a.bin': 'one' })
    const { note, settled, told } = start([rule()])
    for (let i = 0; i < 3; i++) {
      note(path)
      await settled()
    }
    expect(told.map(({ verdict }) => verdict)).toEqual(['matches'])
    appendFileSync(path, '!')
    note(path, true)
    await settled()
    expect(told.map(({ verdict }) => verdict)).toEqual(['matches', 'differs'])
    sign({ 'a.bin': 'one!' })
    note(path)
    await settled()
    expect(told.map(({ verdict }) => verdict)).toEqual(['matches', 'differs', 'matches'])
  })

  it('that nobody listed are told as such, but not by another name for what was signed', async () => {
    const blob = write('blobs/0a1b', 'signed')
    const other = write('extra.pkl', 'mine')
    sign({ 'model.safetensors': 'signed' })
    const { note, settled, told } = start([rule()])
    note(blob)
    note(other)
    note(join(dir, 'model.sig'))
    await settled()
    expect(told.map(({ path, verdict }) => [path, verdict]).toSorted()).toEqual([
      [blob, 'matches'], [other, 'not_listed']].toSorted())
  })

  it('are unknown, never good, when nobody trusted signed the manifest', async () => {
    const path = write('a.bin', 'one')
    const other = generateKeyPairSync('ed25519')
    writeFileSync(join(dir, 'model.sig'), signedManifest({ 'a.bin': 'one' }, other.privateKey, other.publicKey))
    const { note, settled, told } = start([rule()])
    note(path)
    await settled()
    expect(told).toMatchObject([{ verdict: 'unknown', sha256: sha256('one'), key_id: undefined }])
    expect(told[0].reason).toMatch(/^manifest_untrusted: No key that is trusted signed/)
  })

  it('are unknown, never good, without keys; what differs is still told', async () => {
    const [path, bad] = [write('a.bin', 'one'), write('b.bin', 'two')]
    sign({ 'a.bin': 'one', 'b.bin': 'three' })
    const { note, settled, told } = start([rule({ manifestKeys: [] })])
    note(path)
    note(bad)
    await settled()
    expect(of(told, 'a.bin')).toMatchObject([{ verdict: 'unknown', reason: expect.stringContaining('manifest_keys') }])
    expect(of(told, 'b.bin')).toMatchObject([{ verdict: 'differs', key_id: undefined }])
  })

  it('are unknown with a manifest that is missing or full of nonsense, and without one', async () => {
    const path = write('a.bin', 'one')
    const missing = start([rule()])
    missing.note(path)
    await missing.settled()
    write('model.sig', '{"mediaType":"')
    missing.note(path)
    await missing.settled()
    const none = start([rule({ manifest: '', manifestKeys: [] })])
    none.note(path)
    await none.settled()
    expect([...missing.told, ...none.told].map(({ verdict, reason }) => [verdict, reason!.split(':')[0]])).toEqual([
      ['unknown', 'manifest_missing'], ['unknown', 'manifest_format'],
      ['unknown', 'the policy names no manifest of its store']])
  })

  it('are not read beyond the budget of a day', async () => {
    const [small, large] = [write('small', 'x'.repeat(600)), write('large', 'x'.repeat(600))]
    sign({ small: 'x'.repeat(600), large: 'x'.repeat(600) })
    const { note, settled, told } = start([rule()], { bytesPerDay: 1000 })
    note(small)
    await settled()
    note(large)
    await settled()
    expect(of(told, 'small')).toMatchObject([{ verdict: 'matches' }])
    expect(of(told, 'large')).toMatchObject([{ verdict: 'unknown', bytes: 600, sha256: undefined }])
    expect(of(told, 'large')[0].reason).toContain('artifact_bytes_per_day')
  })

  it('are not followed anywhere: no link, no folder, no other file under the same path', async () => {
    const path = write('a.bin', 'one')
    const other = write('b.bin', 'two')
    symlinkSync('/etc/hostname', join(dir, 'link'))
    sign({ 'a.bin': 'one' })
    const { digests, settled, told } = start([rule()])
    const note = (name: string, inode: bigint): void =>
      digests.note({ store: 'llama', path: join(dir, name), inode, device: 0, changed: false, process: reader })
    note('link', statSync('/etc/hostname', { bigint: true }).ino)
    note('.', statSync(dir, { bigint: true }).ino)
    const { ino } = statSync(path, { bigint: true })
    renameSync(other, path)
    note('a.bin', ino)
    await settled()
    expect(told).toMatchObject([
      { path, verdict: 'unknown', reason: 'another file has its path now', sha256: undefined }])
  })

  it('of other stores, and what the agent reads itself, are left alone', async () => {
    const path = write('a.bin', 'one')
    const { digests, note, settled, told } = start([rule({ kind: 'dataset' })])
    note(path)
    digests.setRules([rule({ name: 'other' })])
    note(path)
    digests.setRules([rule()])
    note(path, false, { pid: process.pid })
    await settled()
    expect(told).toEqual([])
    note(path)
    await settled()
    expect(told).toHaveLength(1)
  })

  it('beyond the room are counted, and those that were seen go first', async () => {
    const path = write('a.bin', 'one')
    const { digests, settled, told } = start([rule({ manifest: '' })], { settleMs: 3_600_000 })
    const { ino } = statSync(path, { bigint: true })
    for (let i = 0n; i < 5000n; i++) {
      digests.note({ store: 'llama', path, inode: ino + i, device: 0, changed: true, process: reader })
    }
    expect(digests.waiting).toBe(4096)
    expect(digests.counts.refused).toBe(5000 - 4096)
    digests.setRules([])
    await settled()
    expect(told).toEqual([])
  })

  it('in a mount namespace of their own are read through a process in there', async ({ skip }) => {
    const child = spawn('unshare', ['--mount', 'sh', '-c',
      `mount -t tmpfs none ${dir} && printf one > ${dir}/a.bin && stat -c %i ${dir}/a.bin && exec sleep 600`])
    children.push(child)
    const [first] = await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])
    if (!(first instanceof Buffer)) return skip('SKIPPED: no mount namespace can be made here')
    sign({ 'a.bin': 'one' })
    const { digests, settled, told } = start([rule()])
    digests.note({ store: 'llama', path: join(dir, 'a.bin'), inode: BigInt(first.toString().trim()), device: 0,
      changed: false, process: { pid: child.pid! } })
    await settled()
    expect(readlinkSync(`/proc/${child.pid}/ns/mnt`)).not.toBe(readlinkSync('/proc/self/ns/mnt'))
    expect(told).toMatchObject([{ verdict: 'matches', sha256: sha256('one') }])
  })
})
