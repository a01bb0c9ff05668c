// What a person can get wrong on the command line: each has one clear message, and an exit code.

import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run, Running } from './command-line.ts'

const anyPort = ['--listen', '127.0.0.1:0', '--listen-http', '127.0.0.1:0']
const isRoot = process.getuid?.() === 0
/** Hides a file from one process; the machine's own stays. */
const canHideBtf = isRoot
  && spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/sys/kernel/btf']).status === 0
if (!canHideBtf) console.warn('SKIPPED: a kernel without BTF needs root and unshare -m')
/** A user without rights on what root makes. */
const nobody = 65_534

describe('the command line', () => {
  let dir: string
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'vedette-bad-input-'))
    chmodSync(dir, 0o755)
  })
  afterAll(() => rmSync(dir, { recursive: true, force: true }))

  it('answers wrong usage with 2, a message, and what was probably meant', async () => {
    const cases: [string[], RegExp][] = [
      [['evnts'], /unknown command 'evnts'[^]*events/],
      [['events', '--folow'], /unknown option '--folow'[^]*--follow/],
      [['events', '--kind', 'conection_open'], /did you mean connection_open/],
      [['events', '--from', 'yesterday'], /--from is "yesterday"; write RFC 3339/],
      [['events', '--output', 'xml'], /text, json/],
      [['events', '--server', 'nowhere'], /host:port/],
      [['incidents', 'show', '../../etc'], /is no id/],
      [['incidents', 'show'], /missing required argument/],
      [['drill', 'zone-violatoin'], /did you mean zone-violation/],
      [['agent'], /needs --correlator/],
      [['policy'], /policy check/],
      [['correlator', '--data', dir, '--log-bytes-max', '5'], /log_bytes_max is 5/],
      [['agent', '--correlator', '127.0.0.1:1', '--data', join(dir, 'agent'), '--kubernetes-api', 'gpu-07:6443'],
        /kubernetes_api "gpu-07:6443" is no URL such as https/],
      [['up', '--tls-ca', 'ca.pem', '--data', join(dir, 'tls')], /all of --tls-ca/],
    ]
    const results = await Promise.all(cases.map(([words]) => run(words)))
    for (const [i, { code, stdout, stderr }] of results.entries()) {
      expect(stderr, cases[i][0].join(' ')).toMatch(cases[i][1])
      expect(code, cases[i][0].join(' ')).toBe(2)
      expect(stdout, cases[i][0].join(' ')).toBe('')
    }
  })

  it('has help with an example for every command', async () => {
    const commands = ['up', 'agent', 'correlator', 'doctor', 'events', 'incidents', 'replay',
      'policy', 'verify', 'drill']
    const all = [...commands.map((name) => [name]), ['incidents', 'show'], ['policy', 'check']]
    const results = await Promise.all(all.map((words) => run([...words, '--help'])))
    for (const [i, { code, stdout, stderr }] of results.entries()) {
      expect(stdout, all[i].join(' ')).toMatch(/Examples:\n {2}(vedette|kill)/)
      expect(stdout.split('\n').filter((line) => line.length > 100), all[i].join(' ')).toEqual([])
      expect([code, stderr], all[i].join(' ')).toEqual([0, ''])
    }
    const top = await run(['--help'])
    for (const name of commands) expect(top.stdout).toMatch(new RegExp(`^ {2}${name} `, 'm'))
  })

  it('says that no correlator answers, where, and what to do', async () => {
    const { code, stderr } = await run(['incidents', '--server', '127.0.0.1:1'])
    expect(stderr).toMatch(/no correlator answers at 127\.0\.0\.1:1 .*--server.*--data/)
    expect(code).toBe(1)
  })

  it('performs no drill when nobody is there who could see it', async () => {
    const { code, stderr } = await run(['drill', 'zone-violation', '--server', '127.0.0.1:1'])
    expect(stderr).toContain('no correlator answers')
    expect(stderr).not.toContain('namespaces')
    expect(code).toBe(1)
  })

  it('names the problem of a broken policy with line and column, and does not start', async () => {
    const policy = join(dir, 'broken.yaml')
    writeFileSync(policy, 'version: 1\nzones:\n  - name: training\n    exposure: secret\n')
    const [checked, started] = await Promise.all([
      run(['policy', 'check', policy]),
      run(['correlator', '--data', join(dir, 'policy'), '--policy', policy, ...anyPort]),
    ])
    expect(checked.stdout).toContain(`${policy}:4:15: error:`)
    expect(checked.code).toBe(1)
    expect(started.stderr).toContain(`${policy}:4:15: error:`)
    expect(started.stderr).toContain('vedette policy check')
    expect(started.code).toBe(1)
  })

  it('says that a policy file is not there', async () => {
    const { code, stderr } = await run(['policy', 'check', join(dir, 'nowhere.yaml')])
    expect(stderr).toMatch(/nowhere\.yaml cannot be read \(ENOENT\)/)
    expect(code).toBe(1)
  })

  it('says where there is no data, and how to name it', async () => {
    for (const words of [['replay'], ['verify'], ['events'], ['incidents']]) {
      const { code, stderr } = await run([...words, '--data', join(dir, 'nowhere')])
      expect(stderr, words[0]).toMatch(/nowhere.*--data/)
      expect(code, words[0]).toBe(1)
    }
  })

  it('names the port that is in use, and what to do', async () => {
    const holder = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => holder.once('listening', resolve))
    const address = `127.0.0.1:${(holder.address() as AddressInfo).port}`
    const data = join(dir, 'port')
    const [http, grpc, agent, up] = await Promise.all([
      run(['correlator', '--data', `${data}-1`, '--listen', '127.0.0.1:0', '--listen-http', address]),
      run(['correlator', '--data', `${data}-2`, '--listen', address, '--listen-http', '127.0.0.1:0']),
      run(['agent', '--data', `${data}-3`, '--correlator', '127.0.0.1:1', '--listen-http', address]),
      run(['up', '--data', `${data}-4`, ...anyPort, '--agent-listen-http', address]),
    ])
    holder.close()
    for (const { code, stderr } of [http, grpc, agent, up]) {
      expect(stderr).toContain(address)
      expect(stderr).toMatch(/stop the process/i)
      expect(stderr).not.toContain('defect')
      expect(code).toBe(1)
    }
  })

  it.skipIf(!isRoot)('says that a data folder may not be read or written, and by what', async () => {
    const closed = join(dir, 'closed')
    mkdirSync(join(closed, 'log'), { recursive: true })
    mkdirSync(join(closed, 'incidents'))
    chmodSync(closed, 0o700)
    const words = [
      ['correlator', '--data', closed, ...anyPort], ['verify', '--data', closed],
      ['events', '--data', closed], ['incidents', '--data', closed], ['replay', '--data', closed],
    ]
    const results = await Promise.all(words.map((one) => run(one, { uid: nobody })))
    for (const [i, { code, stderr }] of results.entries()) {
      expect(stderr, words[i][0]).toMatch(/closed.*(permission|may read|EACCES)/)
      expect(stderr, words[i][0]).not.toContain('defect')
      expect(code, words[i][0]).toBe(1)
    }
  })

  it.skipIf(!isRoot)('says without rights that nothing can be watched, and how to change it', async () => {
    const data = join(dir, 'unprivileged')
    mkdirSync(data)
    chmodSync(data, 0o777)
    const agent = new Running(['agent', '--data', data, '--correlator', '127.0.0.1:1',
      '--listen-http', '127.0.0.1:0'], { uid: nobody })
    await agent.until('the reason', ({ stderr }) =>
      /NOTHING can be watched:[^]*CAP_BPF[^]*run as root/.test(stderr) ? true : undefined)
    expect((await agent.stop('SIGTERM')).code).toBe(0)
  })

  it.skipIf(!canHideBtf)('goes on without BTF, says so, and how to get it', async () => {
    // The real kernel, with the file hidden in a mount namespace of our own.
    const hidden = { privately: 'mount -t tmpfs none /sys/kernel/btf' }
    const up = new Running(['up', '--data', join(dir, 'btf'), ...anyPort, '--scope-cgroup', '/',
      '--agent-listen-http', '127.0.0.1:0', '--quiet'], hidden)
    await up.until('the reason', ({ stderr }) =>
      /NOTHING can be watched: the kernel has no BTF[^]*CONFIG_DEBUG_INFO_BTF/.test(stderr) || undefined)
    expect((await up.stop('SIGTERM')).code).toBe(0)
    const { code, stdout } = await run(['doctor', '--output', 'json'], hidden)
    expect(code).toBe(1)
    const facts = stdout.trim().split('\n').map((line) => JSON.parse(line) as Record<string, string>)
    expect(facts.find(({ name }) => name === 'btf')).toMatchObject({ state: 'missing', lost: 'every probe' })
  })

  it('is quiet when its reader goes away', async () => {
    const { code, stderr } = await new Promise<{ code: number | null, stderr: string }>((resolve) => {
      const doctor = new Running(['policy', 'check', '--help'])
      doctor.child.stdout!.destroy()
      void doctor.finished().then(resolve)
    })
    expect(stderr).toBe('')
    expect(code).toBe(0)
  })
})
