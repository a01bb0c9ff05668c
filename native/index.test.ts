// The addon on the live kernel. Every test runs in a child process: a crash is a failed test, the
// file descriptors are its own, and `npm run test:native-sanitize` can put a sanitizer under it.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { AddonMissingError, addonPlaces, loadAddon } from './addon.ts'

const able = process.getuid?.() === 0 && existsSync('/sys/kernel/btf/vmlinux')
if (!able) console.warn('SKIPPED: tests of the kernel part need root and a kernel with BTF')

const prelude = `
  import { KernelObject, programs } from '${import.meta.dirname}/index.ts'
  import { readdirSync, readlinkSync } from 'node:fs'
  import { execFileSync } from 'node:child_process'
  const options = {
    ring_bytes: 65536, sockets_max: 64, scope_cgroup_id: 0n, scope_cgroup_level: 0,
    accept_visible: false, connect_visible: false,
  }
  const load = (programs, more) => KernelObject.load({ ...options, ...more, programs })
  const bpfFds = () => readdirSync('/proc/self/fd').filter((fd) => {
    try { return readlinkSync('/proc/self/fd/' + fd).includes('bpf') } catch { return false }
  }).length
  const caught = (run) => { try { return run() } catch (error) { return error.code } }
  const turn = () => new Promise((resolve) => setTimeout(resolve, 20))
  // Records in the first bytes of a buffer, by their own sizes.
  const records = (buffer, bytes) => {
    const view = new DataView(buffer)
    const found = []
    let at = 0
    for (; at < bytes; at += found.at(-1).size) {
      found.push({
        kind: view.getUint16(at + 8, true), size: view.getUint16(at + 10, true),
        pid: view.getUint32(at + 12, true),
      })
      if (found.at(-1).size < 64) throw new Error('record of ' + found.at(-1).size + ' bytes')
    }
    if (at !== bytes) throw new Error('the last record is cut')
    return found
  }
  const say = (value) => process.stdout.write(JSON.stringify(value));
`

/** Runs code in a child after the prelude; what it said. Fails when it ended in any other way. */
function child(code: string, wrapper: string[] = []) {
  const folder = mkdtempSync(join(tmpdir(), 'vedette-native-'))
  try {
    const file = join(folder, 'child.mjs')
    writeFileSync(file, prelude + code)
    const command = [...wrapper, process.execPath, '--expose-gc', file]
    const preload = process.env.VEDETTE_NATIVE_PRELOAD
    const result = spawnSync(command[0], command.slice(1), {
      encoding: 'utf8', timeout: 60_000,
      env: { ...process.env, ...(preload ? { LD_PRELOAD: preload } : {}) },
    })
    // Reports of a sanitizer go to stderr; test:native-sanitize looks for them in this file.
    const log = process.env.VEDETTE_NATIVE_LOG
    if (log) writeFileSync(log, result.stderr, { flag: 'a' })
    const ended = result.signal ?? result.status
    if (ended !== 0) throw new Error(`child ended with ${ended}: ${result.stderr}`)
    return JSON.parse(result.stdout)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

describe('finding the addon', () => {
  it('says of each place why not, and what to do', () => {
    const text = join(tmpdir(), `vedette-no-addon-${process.pid}.node`)
    writeFileSync(text, 'not a shared object')
    try {
      loadAddon(['/nowhere/vedette.node', text, 'no-such-package/vedette.node'])
      expect.unreachable()
    } catch (error) {
      expect(error).toBeInstanceOf(AddonMissingError)
      const { message } = error as Error
      expect(message).toContain('/nowhere/vedette.node: does not exist')
      expect(message).toContain(`${text}: `)
      expect(message).toContain('no-such-package/vedette.node: ')
      expect(message).toContain('npm run build')
    } finally {
      rmSync(text)
    }
  })

  it('looks into the checkout before it looks for a package', () => {
    const saved = process.env.VEDETTE_NATIVE
    delete process.env.VEDETTE_NATIVE
    expect(addonPlaces().map((place) => place.replace(/.*\/build/, 'build'))).toEqual(
      ['build/native/vedette.node', `vedette-linux-${process.arch}/vedette.node`])
    if (saved) process.env.VEDETTE_NATIVE = saved
  })
})

describe('without any privilege', () => {
  it('lists the programs of the object with the way they attach', () => {
    const list = child('say(programs())')
    expect(list).toContainEqual({
      name: 'process_exec_tp_btf', section: 'tp_btf/sched_process_exec', attach_type: 'tp_btf',
    })
    expect(list).toContainEqual({
      name: 'process_iter', section: 'iter/task', attach_type: 'iterator',
    })
    const types = list.map((program: { attach_type: string }) => program.attach_type)
    expect(types).not.toContain('other')
  })

  it('names what is wrong with the options', () => {
    const codes = child(`say([
      caught(() => load([''])), caught(() => load(['a', 'a'])),
      caught(() => load([], { ring_bytes: 5000 })), caught(() => load([], { ring_bytes: 2 ** 31 })),
      caught(() => load([], { sockets_max: 0 })), caught(() => load([], { scope_cgroup_id: -1n })),
      caught(() => load([], { scope_cgroup_level: 1.5 })),
    ])`)
    expect(new Set(codes)).toEqual(new Set(['EINVAL']))
    expect(codes).toHaveLength(7)
  })

  it('survives calls that index.ts would not let through', () => {
    const results = child(`
      import { loadAddon } from '${import.meta.dirname}/addon.ts'
      const raw = new (loadAddon().KernelObject)()
      say([
        raw.load()?.errno, raw.load([1], 4096, 1, [])?.errno,
        raw.load([], 4096, 1, ['a', 1])?.errno,
        raw.attach()?.errno, raw.detach() ?? 0, raw.readRing(), raw.readRing(new ArrayBuffer(8)),
        raw.readIterator(), raw.counters().errno, raw.faults().errno, raw.ringPending(),
        raw.programStats().length, raw.mapBytes(), loadAddon().disableStats(1) ?? 0,
        raw.close() ?? 0, raw.close() ?? 0,
      ])`)
    expect(results).toEqual([22, 22, 22, 2, 0, -9, -9, -9, 9, 9, -9, 0, 0, 0, 0, 0])
  })
})

describe.runIf(able)('on the live kernel', () => {
  it('says EPERM as a fact when the process holds no capability', () => {
    const { failure } = child(
      "say(load(['process_exit_tp_btf']))",
      ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--ambient-caps=-all'])
    expect(failure).toMatchObject({ operation: 'load', errno: 1, code: 'EPERM' })
    expect(failure.program).toBeUndefined()
    expect(failure.detail).toContain('Operation not permitted')
  })

  it('names a program that does not exist, at load and at attach', () => {
    const [atLoad, atAttach, after] = child(`
      const { object } = load(['process_exit_tp_btf'])
      say([load(['process_exit_tp_btf', 'no_such']).failure, object.attach('no_such'),
        object.attach('process_exit_tp_btf') ?? 'attached'])`)
    expect(atLoad).toMatchObject({ operation: 'load', code: 'ENOENT', program: 'no_such' })
    expect(atAttach).toMatchObject({ operation: 'attach', code: 'ENOENT', program: 'no_such' })
    expect(after).toBe('attached')
  })

  it('loads programs beside those that run: the same ring, counters and settings', () => {
    const { refused, extended, names, counted, read, fds } = child(`
      const { object } = load(['process_exec_tp_btf'])
      object.attach('process_exec_tp_btf')
      const refused = object.extend(['process_exit_tp_btf', 'no_such'])
      const extended = object.extend(['process_exit_tp_btf']) ?? object.attach('process_exit_tp_btf')
      const child = execFileSync('/bin/sh', ['-c', 'echo $$'], { encoding: 'utf8' })
      await turn()
      const buffer = new ArrayBuffer(65536)
      const read = records(buffer, object.readRing(buffer)).filter(({ pid }) => pid === Number(child))
      const names = object.programStats().map(({ name }) => name)
      const counted = object.counters().map(({ kind }) => kind)
      object.close()
      say({ refused, extended: extended ?? 'attached', names, counted, read, fds: bpfFds() })`)
    expect(refused).toMatchObject({ operation: 'load', code: 'ENOENT', program: 'no_such' })
    expect(extended).toBe('attached')
    expect(names).toEqual(['process_exec_tp_btf', 'process_exit_tp_btf'])
    // process_exec is 10, process_exit 11.
    expect(counted).toEqual([10, 11])
    expect(read.map(({ kind }: { kind: number }) => kind)).toEqual([10, 11])
    expect(fds).toBe(0)
  })

  it('leaves no descriptor and no program behind after 20 rounds', () => {
    const { fds, ids } = child(`
      const fds = [], ids = []
      for (let round = 0; round < 20; round++) {
        const { object } = load(['process_exec_tp_btf', 'process_exit_tp_btf', 'process_iter'])
        object.attach('process_exec_tp_btf')
        object.attach('process_exit_tp_btf')
        object.readIterator('process_iter', new ArrayBuffer(4096))
        if (round % 2) object.detach('process_exit_tp_btf')
        if (round % 4 === 0) object.extend(['process_orphan_tp_btf'])
        ids.push(...object.programStats().map(({ id }) => id))
        object.close()
        fds.push(bpfFds())
      }
      const alive = () => ids.filter((id) => {
        try { execFileSync('/usr/sbin/bpftool', ['prog', 'show', 'id', id], { stdio: 'pipe' }) }
        catch { return false }
        return true
      })
      // The kernel frees programs after a grace period.
      let left = ids.length
      for (let round = 0; left > 0 && round < 100; round++) {
        await turn()
        left = alive().length
      }
      say({ fds, ids: [ids.length, left] })`)
    expect(fds).toEqual(new Array(20).fill(0))
    // Three each, and in every fourth round one more.
    expect(ids).toEqual([65, 0])
  })

  it('frees an object that nobody holds any more', () => {
    const [before, after] = child(`
      (() => { load(['process_exit_tp_btf']).object.attach('process_exit_tp_btf') })()
      const before = bpfFds()
      for (let round = 0; bpfFds() > 0 && round < 100; round++) { gc(); await turn() }
      say([before, bpfFds()])`)
    expect(before).toBeGreaterThan(0)
    expect(after).toBe(0)
  })

  it('delivers whole records across the end of a small ring, and accounts for each', () => {
    const { read, produced, lost, wrapped, pending } = child(`
      const { object } = load(['process_exec_tp_btf', 'process_exit_tp_btf'], { ring_bytes: 4096 })
      const buffer = new ArrayBuffer(8192)
      let bytes = 0, read = 0
      const pull = () => {
        const got = object.readRing(buffer)
        bytes += got
        read += records(buffer, got).length
      }
      object.attach('process_exec_tp_btf')
      object.attach('process_exit_tp_btf')
      for (let i = 0; i < 25; i++) { execFileSync('/bin/true'); pull() }
      object.detach('process_exec_tp_btf')
      object.detach('process_exit_tp_btf')
      pull()
      const sum = (key) => object.counters().reduce((total, one) => total + one[key], 0)
      say({ read, produced: sum('produced'), lost: sum('lost'), wrapped: bytes / 4096,
        pending: object.ringPending() })`)
    expect(wrapped).toBeGreaterThan(4)
    expect(read).toBe(produced - lost)
    expect(pending).toBe(0)
  })

  it('refuses buffers that it cannot fill, and keeps the record for the next', () => {
    const { codes, closed, bytes } = child(`
      const { object } = load(['process_exit_tp_btf'])
      object.attach('process_exit_tp_btf')
      execFileSync('/bin/true')
      const gone = new ArrayBuffer(4096)
      structuredClone(gone, { transfer: [gone] })
      const codes = [new ArrayBuffer(8), new ArrayBuffer(0), new ArrayBuffer(4093), gone, {},
        undefined, new SharedArrayBuffer(4096), new Uint8Array(4096)]
        .map((buffer) => caught(() => object.readRing(buffer)))
      const bytes = object.readRing(new ArrayBuffer(4096))
      object.close()
      object.close()
      const closed = [() => object.readRing(new ArrayBuffer(4096)), () => object.attach('a'),
        () => object.detach('a'), () => object.counters(), () => object.faults(),
        () => object.readIterator('a', new ArrayBuffer(8)), () => object.ringPending(),
        () => object.programStats(), () => object.mapBytes()].map(caught)
      say({ codes, closed, bytes })`)
    expect(codes).toEqual(['ENOBUFS', ...new Array(7).fill('EINVAL')])
    expect(new Set(closed)).toEqual(new Set(['EBADF']))
    expect(closed).toHaveLength(9)
    expect(bytes).toBeGreaterThan(0)
  })

  it('runs an iterator to its end in pieces of whole records, and then anew', () => {
    const { mine, calls, again, tiny, unknown } = child(`
      const { object } = load(['process_iter'])
      const buffer = new ArrayBuffer(2048)
      const pids = []
      let calls = 0, bytes
      const other = load(['process_iter']).object
      const tiny = caught(() => other.readIterator('process_iter', new ArrayBuffer(8)))
      while ((bytes = object.readIterator('process_iter', buffer)) > 0) {
        calls++
        pids.push(...records(buffer, bytes).map(({ pid }) => pid))
      }
      say({ mine: pids.filter((pid) => pid === process.pid).length, calls, tiny,
        again: records(buffer, object.readIterator('process_iter', buffer)).length,
        unknown: object.readIterator('no_such', buffer) })`)
    expect(mine).toBe(1)
    expect(calls).toBeGreaterThan(1)
    expect(again).toBeGreaterThan(0)
    expect(tiny).toBe('ENOBUFS')
    expect(unknown).toMatchObject({
      operation: 'read_iterator', code: 'ENOENT', program: 'no_such',
    })
  })

  it('attaches an iterator of a map as it attaches others, and a cgroup program to its folder', () => {
    const seen = child(`
      import { mkdirSync, rmdirSync, readFileSync } from 'node:fs'
      const mount = readFileSync('/proc/self/mounts', 'utf8').split(/[\\n]/)
        .map((line) => line.split(' ')).find((words) => words[2] === 'cgroup2')[1]
      const dir = mount + '/vedette-native-' + process.pid
      mkdirSync(dir)
      const { object } = load(['flows_iter', 'flow_egress'], { cgroup_dir: dir, flows_max: 8 })
      const results = [object.attach('flows_iter'), object.attach('flow_egress')]
      object.close()
      rmdirSync(dir)
      const gone = load(['flow_egress'], { cgroup_dir: dir }).object.attach('flow_egress')
      const none = load(['flow_egress']).object.attach('flow_egress')
      say([...results.map((one) => one ?? 'attached'), gone.code, none.code,
        caught(() => load([], { flows_max: 0 }))])`)
    expect(seen).toEqual(['attached', 'attached', 'ENOENT', 'ENOENT', 'EINVAL'])
  })

  it('makes the maps that its programs use, and others once they are filled or used', () => {
    const [bare, again, filled, used, missing] = child(`
      const { object } = load(['process_exit_tp_btf'])
      const key = new Uint8Array(4)
      const sizes = [object.mapBytes()]
      const results = [object.setEntry('store_artifacts', key)]
      sizes.push(object.mapBytes())
      results.push(object.setEntry('store_artifacts', key, Uint8Array.of(1)))
      sizes.push(object.mapBytes())
      results.push(object.extend(['flows_iter']))
      sizes.push(object.mapBytes(), object.setEntry('no_such', key, key).code)
      object.close()
      if (results.some((one) => one)) throw new Error(JSON.stringify(results))
      if (bpfFds() > 0) throw new Error('maps are left open')
      say(sizes)`)
    expect(missing).toBe('ENOENT')
    expect(again).toBe(bare)
    expect(filled).toBeGreaterThan(bare)
    // The table of flows.
    expect(used).toBeGreaterThan(filled + 2 ** 20)
    // Of some fifty maps that nobody uses here.
    expect(bare).toBeLessThan(2 * 2 ** 20)
  })

  it('counts run time only while somebody asks for it', () => {
    const [off, on] = child(`
      const { object } = load(['process_exit_tp_btf'])
      object.attach('process_exit_tp_btf')
      const stop = KernelObject.enableStats()
      execFileSync('/bin/true')
      const on = object.programStats()[0]
      stop()
      stop()
      say([load(['process_exit_tp_btf']).object.programStats()[0], on])`)
    expect(off).toMatchObject({ run_count: 0, run_time_ns: 0 })
    expect(on.run_count).toBeGreaterThan(0)
    expect(on.run_time_ns).toBeGreaterThan(0)
  })

  it('lives and dies with worker threads, several at once', () => {
    const { seen, fds } = child(`
      import { Worker } from 'node:worker_threads'
      const code = \`
        import { parentPort, workerData } from 'node:worker_threads'
        const { KernelObject } = await import('file://' + workerData.index)
        const { object } = KernelObject.load(workerData.options)
        object.attach('process_exit_tp_btf')
        const stop = KernelObject.enableStats()
        parentPort.postMessage(object.mapBytes() > 0)
        if (workerData.spin) for (;;) object.readRing(new ArrayBuffer(4096))\`
      const url = new URL('data:text/javascript,' + encodeURIComponent(code))
      const start = (spin) => new Worker(url, { workerData: {
        index: '${import.meta.dirname}/index.ts', spin,
        options: { ...options, programs: ['process_exit_tp_btf'] } } })
      const seen = []
      for (let round = 0; round < 3; round++) {
        const workers = [start(false), start(true)]
        await Promise.all(workers.map((worker) => new Promise((resolve, reject) => {
          worker.once('message', (value) => { seen.push(value); worker.terminate() })
          worker.once('exit', resolve)
          worker.once('error', reject)
        })))
      }
      // The addon is still usable here after the workers are gone.
      const failed = load(['no_such']).failure.code
      say({ seen: [...seen, failed], fds: bpfFds() })`)
    expect(seen).toEqual([true, true, true, true, true, true, 'ENOENT'])
    expect(fds).toBe(0)
  })
})
