import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmdirSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { startAgent } from './main.ts'
import type { RunningAgent } from './main.ts'
import { readKernelFacts } from './probes/kernel-facts.ts'
import { IngestStub } from './sample/ingest-stub.ts'
import { eventsOf, withFolder } from './sample/spool.ts'
import { ApiServer } from '../kubernetes/sample/api-server.ts'
import { samplePod } from '../kubernetes/sample/pod.ts'
import { kindInfos } from '../proto/gen/events.ts'

const isRoot = process.getuid?.() === 0
const hasPromtool = spawnSync('promtool', ['--version']).status === 0
const { cgroup2 } = readKernelFacts()
if (!isRoot) console.warn('SKIPPED: events of the live kernel need root')
if (!hasPromtool) console.warn('SKIPPED: promtool (Debian package prometheus) is not there')

/** An agent that delivers to a stub; both are stopped in the end. */
async function withAgent(
  work: (agent: RunningAgent, stub: IngestStub, dir: string) => Promise<void>,
  config: { heartbeat_interval_ms?: number, kubernetes_api?: string } = {},
): Promise<void> {
  await withFolder(async (data) => {
    const stub = await new IngestStub().start()
    const agent = await startAgent({
      data, correlator: `127.0.0.1:${stub.port}`, listen_http: '127.0.0.1:0', node_id: 'n1',
      flush_interval_ms: 20, ...config,
    })
    try {
      await work(agent, stub, data)
    } finally {
      await agent.stop()
      stub.stop()
    }
  })
}

const get = (agent: RunningAgent, path: string) => fetch(`http://127.0.0.1:${agent.metrics_port}${path}`)

describe('startAgent', () => {
  it('says that it began and what its probes see, and beats', () => withAgent(async (agent, stub) => {
    const seen = () => eventsOf(stub.frames(), 'probe', 'state', 'previous_run', 'first_seq')
    await expect.poll(() => seen().filter(({ kind }) => kind === 'heartbeat').length,
      { timeout: 10_000 }).toBeGreaterThan(2)
    const events = seen()
    expect(events[0]).toMatchObject({
      kind: 'agent_start', values: { previous_run: 'none', first_seq: events[0].seq },
    })
    expect(events.filter(({ kind }) => kind === 'probe_state').map(({ values }) => values['probe']))
      .toEqual(agent.probeStates.map(({ probe }) => probe))
    expect(agent.stats()).toMatchObject({ connected: true, events_lost: 0 })
  }, { heartbeat_interval_ms: 100 }))

  it.skipIf(!isRoot)('sees a real program, with its workload, and accounts for every record', () =>
    withFolder(async (data) => {
      const stub = await new IngestStub().start()
      const agent = await startAgent({
        data, correlator: `127.0.0.1:${stub.port}`, listen_http: '127.0.0.1:0', node_id: 'n1',
      })
      const cgroup = join(cgroup2, `vedette-test-${process.pid}.service`)
      mkdirSync(cgroup)
      try {
        const script = 'echo $$ > "$0/cgroup.procs"; /bin/true vedette-marker; true'
        execFileSync('/bin/sh', ['-c', script, cgroup])
        await expect.poll(() => eventsOf(stub.frames(), 'args').some(({ values }) =>
          (values['args'] as string[] | undefined)?.[1] === 'vedette-marker'), { timeout: 10_000 })
          .toBe(true)
        const unit = `vedette-test-${process.pid}.service`
        const { ino } = statSync(cgroup, { bigint: true })
        const events = () => eventsOf(stub.frames(), 'args', 'exe', 'cgroup_path', 'workload', 'cgroup_id')
        const found = events().find(({ values }) =>
          (values['args'] as string[] | undefined)?.[1] === 'vedette-marker')
        expect(found?.values['exe']).toMatch(/\/true$/)
        expect(found?.values['cgroup_id']).toBe(ino)
        // In the event, or as a fact that came late.
        await expect.poll(() => events().find(({ kind, values }) => values['cgroup_id'] === ino &&
          (values['workload'] === unit || kind === 'workload_seen'))?.values, { timeout: 10_000 })
          .toMatchObject({ cgroup_path: `/${unit}`, workload: unit })
      } finally {
        await agent.stop()
        stub.stop()
        rmdirSync(cgroup)
      }
      checkConservation(stub)
    }), 30_000)

  it('goes on, says so and is not ready where the kernel refuses every probe', () =>
    withFolder(async (dir) => {
      // A missing addon is refused like a missing permission, and needs none to be tried.
      const stub = await new IngestStub().start()
      const lines = await runAgent(dir, stub.port, `
        const ready = await fetch('http://127.0.0.1:' + agent.metrics_port + '/readyz')
        print({ states: agent.probeStates.map(({ state }) => state), status: ready.status,
          text: await ready.text() })
        await agent.stop()`, { VEDETTE_NATIVE: '/nonexistent/vedette.node' })
      expect(new Set(lines[0].states as string[])).toEqual(new Set(['missing']))
      expect(lines[0].status).toBe(503)
      expect(lines[0].text).toMatch(/none is attached: [^]*nonexistent/)
      const kinds = eventsOf(stub.frames()).map(({ kind }) => kind)
      expect(kinds).toEqual(expect.arrayContaining(['agent_start', 'probe_state', 'heartbeat']))
      stub.stop()
    }), 30_000)

  it('says after kill -9 that the run before ended uncleanly, and after a stop that it did not', () =>
    withFolder(async (dir) => {
      const stub = await new IngestStub().start()
      await runAgent(dir, stub.port, `
        while (agent.stats().acked_seq === 0) await setTimeout(10)
        process.kill(process.pid, 'SIGKILL')`)
      await runAgent(dir, stub.port, 'await agent.stop()')
      await runAgent(dir, stub.port, 'await agent.stop()')
      const starts = eventsOf(stub.frames(), 'previous_run', 'first_seq')
        .filter(({ kind }) => kind === 'agent_start')
      expect(starts.map(({ values }) => values['previous_run'])).toEqual(['none', 'unclean', 'clean'])
      expect(starts.every(({ seq, values }) => seq === values['first_seq'])).toBe(true)
      const seqs = eventsOf(stub.frames()).map(({ seq }) => seq)
      expect(seqs).toEqual(seqs.map((_, index) => seqs[0] + index))
      expect(stub.conflicts).toBe(0)
    }), 60_000)

  it('names the port that is in use, and leaves nothing open', () => withFolder(async (data) => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const config = { data, correlator: '127.0.0.1:1', listen_http: `127.0.0.1:${port}` }
    await expect(startAgent(config)).rejects.toMatchObject({
      code: 'AGENT_PORT_IN_USE', message: expect.stringContaining(`127.0.0.1:${port}`),
    })
    server.close()
    const agent = await startAgent({ ...config, listen_http: '127.0.0.1:0' })
    await agent.stop()
  }))

  it('names the folder that cannot be used', () => withFolder(async (dir) => {
    writeFileSync(join(dir, 'file'), '')
    await expect(startAgent({ data: join(dir, 'file'), correlator: '127.0.0.1:1' }))
      .rejects.toMatchObject({ code: 'LOG_NOT_FOUND', message: expect.stringContaining(`${dir}/file`) })
  }))

  it('names a scope that is not there, and PEM files that cannot be read', () =>
    withFolder(async (data) => {
      const config = { data, correlator: '127.0.0.1:1', listen_http: '127.0.0.1:0' }
      await expect(startAgent({ ...config, scope_cgroup: '/none' }))
        .rejects.toMatchObject({ code: 'AGENT_SCOPE', message: expect.stringContaining('/none') })
      const tls = { ca: '/none/ca.pem', cert: '/none/cert.pem', key: '/none/key.pem' }
      await expect(startAgent({ ...config, tls }))
        .rejects.toMatchObject({ code: 'AGENT_TLS', message: expect.stringContaining('/none/ca.pem') })
    }))
})

describe('HTTP', () => {
  it('answers /livez, /readyz and /metrics, and nothing else', () => withAgent(async (agent) => {
    expect((await get(agent, '/livez')).status).toBe(200)
    expect((await get(agent, '/readyz')).status).toBe(isRoot ? 200 : 503)
    expect((await get(agent, '/')).status).toBe(404)
    expect((await get(agent, '/metrics?a=b')).headers.get('content-type')).toContain('version=0.0.4')
    const post = await fetch(`http://127.0.0.1:${agent.metrics_port}/metrics`, { method: 'POST' })
    expect(post.status).toBe(405)
  }))

  it('shows which names it has, and what it could not keep or read', async () => {
    const server = new ApiServer()
    // Served at the path of the nodes, too, where only one fits.
    for (const name of ['a', 'b', 'c']) server.put(name, samplePod({ uid: name, name, ip: 'no address' }))
    try {
      await withAgent(async (agent) => {
        const metric = async (name: string) => {
          const text = await (await get(agent, '/metrics')).text()
          return Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1])
        }
        await expect.poll(() => server.watchCount).toBe(2)
        expect(await metric('vedette_kubernetes_objects')).toBe(4)
        expect(await metric('vedette_kubernetes_left_total')).toBe(2)
        expect(await metric('vedette_kubernetes_malformed_total')).toBe(0)
        server.tell('{"type": broken')
        await expect.poll(() => metric('vedette_kubernetes_malformed_total')).toBe(2)
        // Both are listed again: what did not fit then is counted again, and nothing is set back.
        await expect.poll(() => metric('vedette_kubernetes_left_total')).toBe(4)
        expect(await metric('vedette_enrich_misses_total{fact="slurm_job"}')).toBe(0)
        expect(await metric('vedette_enrich_misses_total{fact="workload"}')).toBe(0)
        expect(await metric('vedette_enrich_misses_total{fact="node_address"}')).toBe(0)
      }, { kubernetes_api: (await server.listen()).href })
    } finally {
      server.close()
    }
  })

  it.skipIf(!hasPromtool)('has metrics that promtool accepts', () => withAgent(async (agent) => {
    const text = await (await get(agent, '/metrics')).text()
    const checked = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' })
    expect([checked.stdout, checked.stderr, checked.status]).toEqual(['', '', 0])
    for (const name of [
      'vedette_build_info', 'vedette_records_lost_total', 'vedette_source_batch_bytes',
      'vedette_records_malformed_total', 'vedette_enrich_misses_total',
      'vedette_spool_dropped_total', 'vedette_spool_bytes', 'vedette_uplink_inflight',
    ]) expect(text).toContain(`# HELP ${name} `)
  }))
})

/** The last ledger of each kind adds up, and says what arrived. */
function checkConservation(stub: IngestStub): void {
  const events = eventsOf(
    stub.frames(), 'event_kind', 'produced', 'lost', 'malformed', 'dropped', 'stored')
  const ledgers = new Map<string, Record<string, number>>()
  for (const { kind, values } of events) {
    if (kind === 'ledger') ledgers.set(values['event_kind'] as string, values as Record<string, number>)
  }
  for (const { kind, recordBytes } of kindInfos) {
    const ledger = ledgers.get(kind)
    if (recordBytes === 0 || !ledger) continue
    const { produced, lost, malformed, dropped, stored } = ledger
    expect([kind, lost + malformed + dropped + stored]).toEqual([kind, produced])
    expect([kind, events.filter((event) => event.kind === kind).length]).toEqual([kind, stored])
  }
  expect(ledgers.get('process_exec')?.stored).toBeGreaterThan(1)
}

/** Runs an agent in a process of its own; `script` has it as `agent`. Gives what it prints. */
async function runAgent(
  data: string, port: number, script: string, env: NodeJS.ProcessEnv = {},
): Promise<Record<string, unknown>[]> {
  const code = `
    import { setTimeout } from 'node:timers/promises'
    import { startAgent } from '${import.meta.dirname}/main.ts'
    const print = (value) => console.log(JSON.stringify(value))
    const agent = await startAgent({
      data: ${JSON.stringify(data)}, correlator: '127.0.0.1:${port}', node_id: 'n1',
      listen_http: '127.0.0.1:0', flush_interval_ms: 20,
    })
    ${script}`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', code], {
    stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...env },
  })
  let printed = ''
  child.stdout.on('data', (data: Buffer) => { printed += data.toString() })
  await once(child, 'close')
  return printed.trim().split('\n').filter(Boolean).map((line) => JSON.parse(line))
}
