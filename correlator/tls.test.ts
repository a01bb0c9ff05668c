import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { credentials } from '@grpc/grpc-js'
import { describe, expect, it } from 'vitest'
import { SampleAgent } from './sample/sample-agent.ts'
import { heartbeats, SAMPLE_NODE } from './sample/sample-batches.ts'
import { QueryClient } from './sample/query-client.ts'
import { startSample, withData } from './sample/sample-correlator.ts'
import type { SampleCorrelator } from './sample/sample-correlator.ts'

/** A certificate for `name`, signed by the CA of the folder; `san` names it beside the CN. */
function certificate(dir: string, file: string, name: string, san: string, ca = 'ca'): void {
  const at = (path: string) => join(dir, path)
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' })
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', at(`${file}.key`)]
  if (file === ca) {
    openssl('req', '-x509', ...key, '-out', at(`${file}.crt`), '-subj', `/CN=${name}`, '-days', '2')
    return
  }
  openssl('req', ...key, '-out', at(`${file}.csr`), '-subj', `/CN=${name}`)
  writeFileSync(at(`${file}.ext`), `subjectAltName=${san}\n`)
  openssl('x509', '-req', '-in', at(`${file}.csr`), '-CA', at(`${ca}.crt`), '-CAkey', at(`${ca}.key`),
    '-CAcreateserial', '-out', at(`${file}.crt`), '-days', '2', '-extfile', at(`${file}.ext`))
}

const withTls = (
  work: (dir: string, correlator: SampleCorrelator) => Promise<void>, query_clients: string[] = [],
) => withData(async (dir) => {
  certificate(dir, 'ca', 'test CA', '')
  certificate(dir, 'server', 'correlator', 'DNS:localhost')
  const tls = { ca: join(dir, 'ca.crt'), cert: join(dir, 'server.crt'), key: join(dir, 'server.key') }
  const correlator = await startSample({ data: join(dir, 'data'), tls, query_clients })
  try {
    await work(dir, correlator)
  } finally {
    await correlator.stop()
  }
})

const channel = (dir: string, file: string) => credentials.createSsl(readFileSync(join(dir, 'ca.crt')),
  readFileSync(join(dir, `${file}.key`)), readFileSync(join(dir, `${file}.crt`)))

describe('with certificates', () => {
  it('a node speaks for the name in its certificate, CN or DNS name', () => withTls(async (dir, { grpc_port }) => {
    certificate(dir, 'cn', SAMPLE_NODE.node_id, 'DNS:elsewhere')
    certificate(dir, 'dns', 'gpu nodes', `DNS:a, DNS:${SAMPLE_NODE.node_id}`)
    for (const [index, file] of ['cn', 'dns'].entries()) {
      const agent = new SampleAgent(grpc_port, channel(dir, file))
      expect((await agent.hello()).welcome?.acked_seq).toBe(index)
      agent.send(heartbeats(1 + index, 1))
      await agent.stored(1 + index)
      agent.close()
    }
  }))

  it('a node cannot speak for another one', () => withTls(async (dir, { grpc_port, lines }) => {
    certificate(dir, 'two', 'node-2', 'DNS:node-22')
    const agent = new SampleAgent(grpc_port, channel(dir, 'two'))
    const { refusal } = await agent.hello()
    expect(refusal?.code).toBe('wrong_node')
    expect(refusal?.message).toContain('node-2, node-22')
    expect(lines.join()).toContain('node-2, node-22')
    agent.close()
  }))

  it('nobody gets in without one, or with one of another CA', () => withTls(async (dir, { grpc_port }) => {
    certificate(dir, 'foreign', 'foreign CA', '', 'foreign')
    certificate(dir, 'fake', SAMPLE_NODE.node_id, 'DNS:a', 'foreign')
    const ca = readFileSync(join(dir, 'ca.crt'))
    for (const how of [credentials.createInsecure(), credentials.createSsl(ca), channel(dir, 'fake')]) {
      const agent = new SampleAgent(grpc_port, how)
      await agent.hello()
      expect(agent.error).not.toBeNull()
      agent.close()
    }
  }))

  it('everyone with one may read, where no readers are named', () => withTls(async (dir, { grpc_port }) => {
    certificate(dir, 'node', SAMPLE_NODE.node_id, 'DNS:a')
    const query = new QueryClient(grpc_port, channel(dir, 'node'))
    expect(await query.status()).toHaveLength(1)
    query.close()
  }))

  it('only those that are named as readers may read, and a node still sends', () => withTls(async (dir, correlator) => {
    certificate(dir, 'node', SAMPLE_NODE.node_id, 'DNS:a')
    certificate(dir, 'alice', 'alice', 'DNS:b')
    certificate(dir, 'bob', 'bob', 'DNS:console')
    const agent = new SampleAgent(correlator.grpc_port, channel(dir, 'node'))
    await agent.hello()
    agent.send(heartbeats(1, 3))
    await agent.stored(3)
    agent.close()
    for (const reader of ['alice', 'bob']) {
      const query = new QueryClient(correlator.grpc_port, channel(dir, reader))
      expect(await query.events({ kinds: ['heartbeat'] }).all()).toHaveLength(3)
      expect((await query.status()).length).toBe(2)
      query.close()
    }
    const query = new QueryClient(correlator.grpc_port, channel(dir, 'node'))
    const no = /certificate of node-1, a may not read; add one of its names to query_clients/
    await expect(query.events().all()).rejects.toThrow(no)
    await expect(query.incidents().all()).rejects.toThrow(no)
    await expect(query.batches()).rejects.toThrow(no)
    await expect(query.status()).rejects.toThrow(no)
    query.close()
    expect(await correlator.metric('vedette_query_refused_total')).toBe(4)
  }, ['alice', 'console']))

  it('files that cannot be read are named', () => withData(async (dir) => {
    const tls = { ca: join(dir, 'none.crt'), cert: 'x', key: 'y' }
    await expect(startSample({ data: dir, tls })).rejects.toThrow(/none\.crt.*PEM/)
  }))
})
