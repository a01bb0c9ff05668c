// The main job, end to end, as a user does it: from the kernel to the incident, and back from the
// log. One machine, one `vedette up` limited to a cgroup of this test, the commands beside it.

import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Incident } from '../detect/incident.ts'
import { jsonLines, run, Running } from './command-line.ts'
import type { Finished } from './command-line.ts'
import { ScopeCgroup } from './probes/scope-cgroup.ts'
import { whyNot } from './probes/watch.ts'

const reason = whyNot()
if (reason) process.stderr.write(`!! SKIPPED: the main job: ${reason}\n`)

const anyPort = ['--listen', '127.0.0.1:0', '--listen-http', '127.0.0.1:0',
  '--agent-listen-http', '127.0.0.1:0']

describe.skipIf(reason)('the main job, on this kernel', () => {
  let cgroup: ScopeCgroup
  let data: string
  let up: Running
  let server: string[]
  let drill: Finished
  let raised: Incident

  beforeAll(async () => {
    cgroup = new ScopeCgroup()
    data = mkdtempSync(join(tmpdir(), 'vedette-main-job-'))
    up = new Running(['up', '--data', data, ...anyPort, '--scope-cgroup', `/${basename(cgroup.path)}`],
      { cwd: data })
    const address = await up.until('the address of the readers', ({ stderr }) =>
      /Readers +gRPC (\S+)/.exec(stderr)?.[1])
    server = ['--server', address]
  }, 60_000)
  afterAll(async () => {
    await up?.stop('SIGKILL')
    await cgroup?.remove()
    if (data) rmSync(data, { recursive: true, force: true })
  })

  it('says at the start what it watches, how, and what is lost', () => {
    expect(up.stderr).toMatch(/attached +connection_state +tp_btf/)
    expect(up.stderr).toMatch(/attached +process_exec +tp_btf/)
    expect(up.stderr).toContain(`cgroup /${basename(cgroup.path)}`)
    expect(up.stderr).toMatch(/Policy +learning/)
  })

  it('raises the incident of a drill, even while the policy only learns', async () => {
    drill = await run(['drill', 'zone-violation', '-o', 'json', '--wait', '20', ...server],
      { cgroup: cgroup.path })
    expect(drill.stderr).toContain('raised: incident')
    expect(drill.code).toBe(0)
    raised = jsonLines(drill.stdout)[0] as unknown as Incident
    expect(raised).toMatchObject({ state: 'open', zones: ['drill-source', 'drill-target'] })
    expect(raised.findings[0].detector).toBe('NET-001')
  })

  it('tells its story with the real process, address, bytes and ancestry', async () => {
    const pid = /process (\d+) connects/.exec(drill.stderr)?.[1]
    const [, port] = /listens on 198\.51\.100\.1:(\d+)/.exec(drill.stderr)!
    const { code, stdout } = await run(
      ['incidents', 'show', raised.incident_id.slice(0, 6), ...server])
    expect(code).toBe(0)
    for (const part of [
      `pid ${pid}`, process.execPath, `198.51.100.1:${port}`, '192.0.2.1', '4.0 KiB', 'uid 0',
      'drill zone-violation', 'This is a drill', 'What could not be seen',
    ]) expect(stdout).toContain(part)
    expect(stdout.split('\n').filter((line) => line.length > 100)).toEqual([])
  })

  it('shows the incident in the live feed and in the list', async () => {
    await up.until('the incident in the feed', ({ stdout }) =>
      stdout.includes(`incident ${raised.incident_id}`) ? true : undefined)
    const { stdout } = await run(['incidents', ...server])
    expect(stdout).toMatch(new RegExp(`^${raised.incident_id} .*critical +open`))
  })

  it('gives the events as JSON lines with the keys that scripts rely on', async () => {
    const { code, stdout } = await run(
      ['events', '-o', 'json', '--kind', 'connection_open', '--kind', 'connection_close', ...server])
    expect(code).toBe(0)
    const ours = jsonLines(stdout).filter((event) => event['remote_addr'] === '198.51.100.1')
    expect(ours.map((event) => event['kind'])).toEqual(['connection_open', 'connection_close'])
    expect(ours[0]).toMatchObject({ protocol: 'tcp', direction: 'outgoing', local_addr: '192.0.2.1' })
    expect(ours[1]).toMatchObject({ bytes_sent: 4096, pid: ours[0]['pid'] })
    expect(ours[0]['time']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/)
  })

  it('shows a connection that is made now to who follows, and ends in order', async () => {
    const follower = new Running(['events', '--follow', '-o', 'json', '--from', '1m', ...server])
    await follower.until('the events so far', ({ stdout }) => stdout === '' ? undefined : true)
    const accepting = createServer((socket) => socket.end()).listen(0, '127.0.0.1')
    const actor = await cgroup.startActor()
    const { port } = accepting.address() as AddressInfo
    await actor.ask({ do: 'connect', host: '127.0.0.1', port })
    await follower.until('the connection', ({ stdout }) =>
      jsonLines(stdout.slice(0, stdout.lastIndexOf('\n') + 1)).find((event) =>
        event['kind'] === 'connection_open' && event['pid'] === actor.pid &&
        event['remote_port'] === port))
    accepting.close()
    expect((await follower.stop('SIGTERM')).code).toBe(0)
  })

  it('reads the same from the data folder while it is being written', async () => {
    const [byServer, offline] = await Promise.all([
      run(['incidents', '-o', 'json', ...server]), run(['incidents', '-o', 'json', '--data', data])])
    expect(offline.stdout).toBe(byServer.stdout)
    const replayed = await run(['replay', '--data', data])
    expect(replayed).toMatchObject({ code: 0 })
    expect(replayed.stdout).toMatch(/^identical: 1 incident/)
  })

  it('says that nothing is wrong with a log that is being written', async () => {
    const { code, stdout } = await run(['verify', '--data', data])
    expect(stdout).not.toContain('BROKEN')
    expect(code).toBe(0)
  })

  it('refuses a second one on the same data folder, and says who holds it', async () => {
    const { code, stderr } = await run(['up', '--data', data, ...anyPort])
    expect(code).toBe(1)
    expect(stderr).toContain(`held by process ${up.child.pid}`)
  })

  it('refuses a port that is taken, and says which', async () => {
    const other = mkdtempSync(join(tmpdir(), 'vedette-main-job-'))
    const { code, stderr } = await run(
      ['correlator', '--data', other, '--listen', server[1], '--listen-http', '127.0.0.1:0'])
    rmSync(other, { recursive: true })
    expect(code).toBe(1)
    expect(stderr).toContain(server[1])
    expect(stderr).toMatch(/another address, or stop the process/)
  })

  it('ends in order when it is asked to, and leaves a whole log', async () => {
    const { code, stderr } = await up.stop('SIGINT')
    expect(stderr).toContain('stopping')
    expect(code).toBe(0)
    const verified = await run(['verify', '--data', data, '-o', 'json'])
    expect(verified.code).toBe(0)
    expect(jsonLines(verified.stdout).map((part) => [part['part'], part['ok']])).toEqual([
      ['event log', true], ['incident log', true], ['spool', true], ['conservation', true]])
    expect((await run(['replay', '--data', data])).stdout).toMatch(/^identical: 1 incident/)
  })

  it('shows what another policy would have raised on what was recorded', async () => {
    const policy = new URL('../deploy/policy/vedette.example.yaml', import.meta.url).pathname
    const { code, stdout } = await run(
      ['replay', '--data', data, '--policy', policy, '--diff', '-o', 'json'])
    expect(jsonLines(stdout)[0]).toMatchObject({ incidents: 1 })
    expect([0, 1]).toContain(code)
  })
})
