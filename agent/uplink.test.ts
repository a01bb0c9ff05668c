import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { ServerCredentials } from '@grpc/grpc-js'
import { describe, expect, it } from 'vitest'
import { openClock } from './clock.ts'
import { IngestStub } from './sample/ingest-stub.ts'
import type { StubOptions } from './sample/ingest-stub.ts'
import { sampleOpen } from './sample/records.ts'
import { eventsOf, sampleBootId, sampleSpool, take, withFolder } from './sample/spool.ts'
import type { Spool, SpoolOptions } from './spool.ts'
import { messageOfRules, rulesOfMessage } from '../stores/rule-message.ts'
import { Uplink } from './uplink.ts'
import { backoffMs } from './uplink/backoff.ts'
import type { Refusal } from './uplink/messages.ts'

const hasOpenssl = spawnSync('openssl', ['version']).status === 0
if (!hasOpenssl) console.warn('SKIPPED: certificates for TLS need openssl')

interface Rig { spool: Spool, uplink: Uplink, stub: IngestStub, said: string[], dir: string }

/** A spool, a stub and an uplink between them, which is not started yet. */
async function withRig(
  options: { stub?: StubOptions, spool?: Partial<SpoolOptions>, address?: string },
  work: (rig: Rig) => Promise<void>,
): Promise<void> {
  await withFolder(async (dir) => {
    const stub = await new IngestStub(options.stub).start()
    const spool = sampleSpool(dir, options.spool)
    const said: string[] = []
    const uplink = new Uplink({
      spool, clock: openClock(), address: options.address ?? `127.0.0.1:${stub.port}`,
      version: '0', complain: (error) => said.push(`${error.code}: ${error.message}`),
      recovered: () => said.push('recovered'),
      stores: (message) => said.push(rulesOfMessage(message) && `stores ${message.sha256}`),
    })
    try {
      await work({ spool, uplink, stub, said, dir })
    } finally {
      await uplink.stop(0)
      await spool.close()
      stub.stop()
    }
  })
}

async function addBatches(spool: Spool, batches: number, eventsEach = 3): Promise<void> {
  for (let batch = 0; batch < batches; batch++) {
    take(spool, Array.from({ length: eventsEach }, (_, i) => sampleOpen({ pid: batch * 100 + i + 1 })))
    await spool.flush()
  }
}

const delivered = (spool: Spool) =>
  expect.poll(() => spool.store.waitingFrames, { timeout: 10_000 }).toBe(0)
const seqsIn = (stub: IngestStub) => eventsOf(stub.frames()).map(({ seq }) => seq)
const range = (first: number, count: number) => Array.from({ length: count }, (_, i) => first + i)
const refusal = (code: string, values: Partial<Refusal> = {}): { refuse: Refusal } =>
  ({ refuse: { code, message: `no: ${code}`, retry_after_ms: 0, first_seq: 0, ...values } })

describe('Uplink', () => {
  it('hands on what the correlator says the stores are, after every Welcome', () => {
    const stores = messageOfRules([{ name: 'imagenet', kind: 'dataset', paths: ['/data'], mountSources: ['filer:/x'],
      fileSystems: [], manifest: '', manifestKeys: [] }])
    return withRig({ stub: { stores } }, async ({ uplink, said }) => {
      uplink.start()
      await expect.poll(() => said, { timeout: 10_000 }).toEqual([`stores ${stores.sha256}`])
    })
  })

  it('delivers what waits and what comes, in order, each once, and clears the spool', () =>
    withRig({}, async ({ spool, uplink, stub }) => {
      await addBatches(spool, 20)
      uplink.start()
      await addBatches(spool, 5)
      await delivered(spool)
      expect(seqsIn(stub)).toEqual(range(spool.firstSeq, 75))
      expect(uplink.ackedSeq).toBe(spool.firstSeq + 74)
      expect(stub.duplicates).toBe(0)
      expect(spool.store.waitingBytes).toBe(0)
    }))

  it('never has more batches on the way than the correlator allows', () =>
    withRig({ stub: { batchesInFlightMax: 3 } }, async ({ spool, uplink, stub }) => {
      await addBatches(spool, 30)
      uplink.start()
      await delivered(spool)
      expect(stub.inFlightMax).toBe(3)
    }))

  it('goes on after the correlator was killed, without a loss and without asking twice', () =>
    withRig({}, async ({ spool, uplink, stub, said }) => {
      uplink.start()
      await addBatches(spool, 10)
      await delivered(spool)
      stub.stop()
      await addBatches(spool, 10)
      const next = await new IngestStub({ port: stub.port, stored: stub.stored }).start()
      await delivered(spool)
      expect(seqsIn(next)).toEqual(range(spool.firstSeq, 60))
      expect(said.at(-1)).toBe('recovered')
      expect(said[0]).toMatch(/^UPLINK_UNREACHABLE/)
      next.stop()
    }))

  it('sends again what was cut off in flight; the numbers remove duplicates', () => {
    let cuts = 0
    const judge = (): 'hang_up' | undefined => cuts++ % 4 === 2 && cuts < 12 ? 'hang_up' : undefined
    return withRig({ stub: { judge } }, async ({ spool, uplink, stub }) => {
      await addBatches(spool, 12)
      uplink.start()
      await delivered(spool)
      expect(seqsIn(stub)).toEqual(range(spool.firstSeq, 36))
    })
  })

  it('waits and sends again, in order, when the correlator is busy or its disk is full', () => {
    let refused = 0
    const judge = (first: number) => refused++ < 5
      ? refusal('disk_full', { retry_after_ms: 5, first_seq: first }) : undefined
    return withRig({ stub: { judge } }, async ({ spool, uplink, stub }) => {
      await addBatches(spool, 10)
      uplink.start()
      await delivered(spool)
      expect(seqsIn(stub)).toEqual(range(spool.firstSeq, 30))
    })
  })

  it.each(['malformed_batch', 'batch_too_large', 'sequence'])(
    'leaves out a batch that is refused for ever (%s), and tells the gap', (code) => {
      let bad = 0
      const judge = (first: number) => {
        bad ||= first + 6
        return first === bad ? refusal(code, { first_seq: first }) : undefined
      }
      return withRig({ stub: { judge } }, async ({ spool, uplink, stub, said }) => {
        await addBatches(spool, 6)
        uplink.start()
        await delivered(spool)
        await addBatches(spool, 1)
        await delivered(spool)
        const events = eventsOf(stub.frames(), 'event_kind', 'count', 'stage', 'reason')
        expect(events.filter(({ kind }) => kind === 'connection_open')).toHaveLength(18)
        expect(events.filter(({ kind }) => kind === 'gap').map(({ values }) => values)).toMatchObject(
          [{ event_kind: 'connection_open', count: 3, stage: 'uplink' }])
        expect(uplink.eventsLost).toBe(3)
        expect(said.join()).toContain('UPLINK_BATCH_REFUSED')
      })
    })

  it('goes on when a refusal does not say which batch is meant, and tells that there is a gap', () => {
    let bad = 0
    const judge = (first: number) => {
      bad ||= first + 6
      return first === bad ? refusal('malformed_batch') : undefined
    }
    return withRig({ stub: { judge } }, async ({ spool, uplink, stub }) => {
      await addBatches(spool, 8)
      uplink.start()
      await delivered(spool)
      expect(seqsIn(stub)).toEqual(
        range(spool.firstSeq, 24).filter((seq) => seq < bad || seq >= bad + 3))
      expect(uplink.eventsLost).toBeGreaterThan(0)
      await addBatches(spool, 1)
      await delivered(spool)
      expect(eventsOf(stub.frames()).map(({ kind }) => kind)).toContain('gap')
    })
  })

  it('does not send a batch that is larger than the correlator takes', () =>
    withRig({ stub: { batchBytesMax: 900 } }, async ({ spool, uplink, stub }) => {
      await addBatches(spool, 1)
      take(spool, Array.from({ length: 300 }, (_, i) =>
        sampleOpen({ pid: i + 1, startTime: BigInt(i * 7919), time: BigInt(i * 104_729) }, i * 31)))
      await spool.flush()
      uplink.start()
      await delivered(spool)
      expect(eventsOf(stub.frames())).toHaveLength(3)
      expect(uplink.eventsLost).toBe(300)
    }))

  it.each(['wrong_node', 'protocol_version'])(
    'stops sending when the stream is refused (%s), says why, and keeps everything', (code) => {
      const judgeHello = () => refusal(code).refuse
      return withRig({ stub: { judgeHello } }, async ({ spool, uplink, stub, said }) => {
        await addBatches(spool, 3)
        uplink.start()
        await expect.poll(() => said.length, { timeout: 5000 }).toBeGreaterThan(0)
        expect(said[0]).toMatch(/^UPLINK_REFUSED/)
        expect(said[0]).toContain(code)
        expect(uplink.problem?.code).toBe('UPLINK_REFUSED')
        await addBatches(spool, 3)
        expect(stub.hellos).toHaveLength(1)
        expect(spool.store.waitingFrames).toBe(6)
      })
    })

  it('says that the correlator cannot be reached, and keeps everything', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const { port } = server.address() as AddressInfo
    await new Promise((resolve) => server.close(resolve))
    await withRig({ address: `127.0.0.1:${port}` }, async ({ spool, uplink, said }) => {
      uplink.start()
      await addBatches(spool, 2)
      await expect.poll(() => said.length, { timeout: 5000 }).toBeGreaterThan(0)
      expect(said[0]).toMatch(/^UPLINK_UNREACHABLE: 127.0.0.1:\d+/)
      expect(spool.store.waitingFrames).toBe(2)
    })
  })

  it('delivers what an earlier boot and an earlier name of the node left behind', () =>
    withFolder(async (dir) => {
      const old = sampleSpool(dir, { boot_id: 'a'.repeat(32), node_id: 'old' })
      await addBatches(old, 3)
      await old.close()
      const stub = await new IngestStub().start()
      const spool = sampleSpool(dir)
      await addBatches(spool, 2)
      const uplink = new Uplink({
        spool, clock: openClock(), address: `127.0.0.1:${stub.port}`, version: '0',
        complain: () => {}, recovered: () => {}, stores: () => {},
      })
      uplink.start()
      await delivered(spool)
      expect(eventsOf(stub.frames(`old ${'a'.repeat(32)}`))).toHaveLength(9)
      expect(eventsOf(stub.frames(`n1 ${sampleBootId}`)).map(({ seq }) => seq)).toEqual(range(1, 6))
      expect(uplink.ackedSeq).toBe(6)
      expect(uplink.eventsLost).toBe(0)
      await uplink.stop(0)
      await spool.close()
      stub.stop()
    }))

  it('takes a lost mark for what it is: the correlator says what it has', () =>
    withFolder(async (dir) => {
      const stub = await new IngestStub().start()
      const connect = (spool: Spool) => new Uplink({
        spool, clock: openClock(), address: `127.0.0.1:${stub.port}`, version: '0',
        complain: () => {}, recovered: () => {}, stores: () => {},
      })
      const first = sampleSpool(dir)
      const one = connect(first)
      one.start()
      await addBatches(first, 5)
      await delivered(first)
      await one.stop(0)
      // The process is killed before the mark is written; here it is only never closed properly.
      await first.close()
      rmSync(`${dir}/mark`)
      const second = sampleSpool(dir)
      expect(second.store.waitingFrames).toBe(5)
      const two = connect(second)
      two.start()
      await addBatches(second, 1)
      await delivered(second)
      expect(seqsIn(stub)).toEqual(range(first.firstSeq, 18))
      expect(stub.duplicates).toBe(0)
      expect(two.eventsLost).toBe(0)
      await two.stop(0)
      await second.close()
      stub.stop()
    }))

  it('tells a gap when the correlator forgot what it had acknowledged', () =>
    withRig({}, async ({ spool, uplink, stub }) => {
      uplink.start()
      await addBatches(spool, 4)
      await delivered(spool)
      stub.stop()
      const kept = new Map([...stub.stored].map(([key, frames]) => [key, frames.slice(0, 2)]))
      const next = await new IngestStub({ port: stub.port, stored: kept }).start()
      await expect.poll(() => uplink.eventsLost, { timeout: 10_000 }).toBe(6)
      await addBatches(spool, 1)
      await delivered(spool)
      expect(eventsOf(next.frames(), 'count', 'stage').filter(({ kind }) => kind === 'gap'))
        .toMatchObject([{ values: { count: 6, stage: 'uplink' } }])
      next.stop()
    }))

  it('gives events new numbers when the correlator has seen theirs: the spool lost its end', () =>
    withFolder(async (dir) => {
      const stored = new Map<string, Buffer[]>()
      const ahead = sampleSpool(dir)
      await addBatches(ahead, 4)
      stored.set(`n1 ${sampleBootId}`, [...ahead.store.read(0, () => {})].map((one) => one.payload))
      const { firstSeq } = ahead
      await ahead.close()
      await withRig({ stub: { stored }, spool: {} }, async ({ spool, uplink, stub }) => {
        expect(spool.firstSeq).toBe(firstSeq)
        await addBatches(spool, 1)
        uplink.start()
        await expect.poll(() => uplink.eventsLost, { timeout: 10_000 }).toBe(3)
        await addBatches(spool, 2)
        await delivered(spool)
        const fresh = eventsOf(stub.frames().slice(4), 'count', 'stage')
        expect(fresh.map(({ seq }) => seq)).toEqual(range(firstSeq + 12, fresh.length))
        expect(fresh.filter(({ kind }) => kind === 'gap')).toMatchObject(
          [{ values: { count: 3, stage: 'uplink' } }])
        expect(fresh.filter(({ kind }) => kind === 'connection_open')).toHaveLength(6)
      })
    }))
})

describe('TLS', () => {
  it.skipIf(!hasOpenssl)('shows the certificate of the node, and trusts only the CA it was given', () =>
    withFolder(async (dir) => {
      const ours = makeCertificates(join(dir, 'ours'))
      const theirs = makeCertificates(join(dir, 'theirs'))
      const pem = (path: string) => readFileSync(path)
      const keys = [{ private_key: pem(ours.key), cert_chain: pem(ours.cert) }]
      const stub = await new IngestStub({
        credentials: ServerCredentials.createSsl(pem(ours.ca), keys, true),
      }).start()
      const connect = (spool: Spool, tls: typeof ours, said: string[]) => new Uplink({
        spool, tls, clock: openClock(), address: `127.0.0.1:${stub.port}`, version: '0',
        complain: ({ code, message }) => said.push(`${code}: ${message}`), recovered: () => {},
        stores: () => {},
      })
      for (const [name, tls] of [
        ['no trust in the correlator', { ...ours, ca: theirs.ca }],
        ['no trust in the node', { ...theirs, ca: ours.ca }],
      ] as const) {
        const spool = sampleSpool(join(dir, name))
        await addBatches(spool, 1)
        const said: string[] = []
        const uplink = connect(spool, tls, said)
        uplink.start()
        await expect.poll(() => said.length, { timeout: 10_000 }).toBeGreaterThan(0)
        expect(said[0]).toMatch(/^UPLINK_UNREACHABLE/)
        expect(spool.store.waitingFrames).toBe(1)
        await uplink.stop(0)
        await spool.close()
      }
      expect(stub.hellos).toEqual([])
      const spool = sampleSpool(join(dir, 'good'))
      await addBatches(spool, 2)
      const uplink = connect(spool, ours, [])
      uplink.start()
      await delivered(spool)
      expect(stub.hellos).toEqual([`n1 ${sampleBootId}`])
      await uplink.stop(0)
      await spool.close()
      stub.stop()
    }), 60_000)
})

/** A CA and one certificate by it, for 127.0.0.1, as both ends. */
function makeCertificates(dir: string): { ca: string, cert: string, key: string } {
  mkdirSync(dir)
  const [ca, caKey, cert, key] = ['ca', 'ca-key', 'cert', 'key'].map((name) => join(dir, `${name}.pem`))
  const run = (...options: string[]) => execFileSync('openssl', ['req', '-x509', '-newkey', 'ec',
    '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', ...options], { stdio: 'ignore' })
  run('-keyout', caKey, '-out', ca, '-subj', '/CN=test CA')
  run('-keyout', key, '-out', cert, '-subj', '/CN=n1', '-CA', ca, '-CAkey', caKey,
    '-addext', 'subjectAltName=IP:127.0.0.1')
  return { ca, cert, key }
}

describe('backoffMs', () => {
  it('doubles, stays within its bounds, and spreads', () => {
    expect(backoffMs(0, 0)).toBe(100)
    expect(backoffMs(0, 1)).toBe(200)
    expect(backoffMs(1, 1)).toBe(400)
    expect(backoffMs(1000, 1)).toBe(10_000)
    expect(backoffMs(1000, 0)).toBe(5000)
  })
})
