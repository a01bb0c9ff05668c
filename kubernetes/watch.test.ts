import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { KubernetesError } from './errors.ts'
import { keepPod } from './objects.ts'
import type { PodFacts } from './objects.ts'
import { Client } from './request.ts'
import { ApiServer } from './sample/api-server.ts'
import { samplePod } from './sample/pod.ts'
import { Watch } from './watch.ts'

let folder: string
let server: ApiServer
let closers: (() => Promise<void> | void)[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vedette-kubernetes-'))
  closers = []
})
afterEach(async () => {
  for (const close of closers.reverse()) await close()
  rmSync(folder, { recursive: true })
})

async function watching(options: { tokenFile?: string, caFile?: string, entriesMax?: number } = {}) {
  const api = await server.listen()
  closers.push(() => server.close())
  const client = new Client({ api, ...options })
  const changes: string[] = []
  const complaints: KubernetesError[] = []
  let recoveries = 0
  const watch: Watch<PodFacts> = new Watch<PodFacts>({
    client, path: '/api/v1/pods', query: { fieldSelector: 'spec.nodeName=gpu-07' }, keep: keepPod,
    changed: (key, pod) => { changes.push(`${key} ${pod?.name ?? 'gone'}`) },
    entriesMax: options.entriesMax ?? 1000, complain: (error) => { complaints.push(error) },
    recovered: () => { recoveries++ }, backoffMs: { min: 1, max: 5 },
  })
  closers.push(async () => {
    await watch.stop()
    client.close()
  })
  watch.start()
  return { watch, changes, complaints, recovered: () => recoveries }
}

const until = (check: () => boolean) => vi.waitFor(() => expect(check()).toBe(true), 5000)

describe('a watch of the API', () => {
  it('lists page by page, then follows what is added, changed and removed', async () => {
    server = new ApiServer()
    server.pageMax = 2
    for (const uid of ['a', 'b', 'c', 'd', 'e']) server.put(uid, samplePod({ uid, name: uid }))
    const { watch, changes } = await watching()
    await until(() => server.watchCount === 1)
    expect(changes).toEqual(['a a', 'b b', 'c c', 'd d', 'e e'])
    server.put('b', samplePod({ uid: 'b', name: 'b', phase: 'Failed' }))
    server.put('f', samplePod({ uid: 'f', name: 'f' }))
    server.remove('a')
    await until(() => changes.length === 8)
    expect(changes.slice(5)).toEqual(['b b', 'f f', 'a gone'])
    expect(watch.get('b')?.ended).toBe(true)
    expect(server.requests[0]).toContain('fieldSelector=spec.nodeName%3Dgpu-07')
  })

  it('says nothing again of an object that changed in nothing that is kept', async () => {
    server = new ApiServer()
    server.put('a', samplePod({ uid: 'a' }))
    const { changes } = await watching()
    await until(() => server.watchCount === 1)
    server.put('a', { ...samplePod({ uid: 'a' }), extra: 'a status that nobody reads' })
    server.put('b', samplePod({ uid: 'b' }))
    await until(() => changes.length === 2)
    expect(changes.map((line) => line.slice(0, 1))).toEqual(['a', 'b'])
  })

  it('goes on from where a cut connection ended, and misses nothing', async () => {
    server = new ApiServer()
    server.put('a', samplePod({ uid: 'a', name: 'a' }))
    const { watch, changes } = await watching()
    await until(() => server.watchCount === 1)
    server.bookmark()
    server.tell('{"type":"ADDED","object":{"metada', '')
    server.cut()
    server.put('b', samplePod({ uid: 'b', name: 'b' }))
    await until(() => changes.length === 2)
    expect(changes).toEqual(['a a', 'b b'])
    expect(watch.lists).toBe(1)
  })

  it('lists again when the server has forgotten, and finds what has gone meanwhile', async () => {
    server = new ApiServer()
    server.put('a', samplePod({ uid: 'a', name: 'a' }))
    server.put('b', samplePod({ uid: 'b', name: 'b' }))
    const { watch, changes, complaints } = await watching()
    await until(() => server.watchCount === 1)
    server.remove('a')
    await until(() => changes.length === 3)
    server.cut()
    server.remove('b')
    server.put('c', samplePod({ uid: 'c', name: 'c' }))
    server.forgetHistory()
    await until(() => watch.get('c') !== undefined && watch.size === 1)
    expect(changes).toEqual(['a a', 'b b', 'a gone', 'c c', 'b gone'])
    expect(watch.lists).toBe(2)
    expect(complaints.filter(({ status }) => status === 410)).toEqual([])
  })

  it('lists again when a line cannot be read, since what it said is not known', async () => {
    server = new ApiServer()
    const { watch, changes } = await watching()
    await until(() => server.watchCount === 1)
    server.tell('{"type": broken')
    server.put('a', samplePod({ uid: 'a', name: 'a' }))
    await until(() => changes.length === 1 && watch.lists === 2)
    expect(watch.malformed).toBe(1)
  })

  it('reads a token again when it is refused, and complains when that does not help', async () => {
    server = new ApiServer()
    server.tokens = ['new']
    const tokenFile = join(folder, 'token')
    writeFileSync(tokenFile, 'old\n')
    server.put('a', samplePod({ uid: 'a', name: 'a' }))
    const { changes, complaints, recovered } = await watching({ tokenFile })
    await until(() => complaints.length === 1)
    expect(complaints[0]).toMatchObject({ code: 'KUBERNETES_REFUSED', status: 401 })
    expect(complaints[0].message).toMatch(/answered 401\. Give the service account get, list/)
    writeFileSync(tokenFile, 'new\n')
    await until(() => changes.length === 1 && recovered() === 1)
    expect(complaints).toHaveLength(1)
  })

  it('keeps what it knows while the server answers nonsense, and complains once', async () => {
    server = new ApiServer()
    server.put('a', samplePod({ uid: 'a', name: 'a' }))
    const { watch, complaints, recovered } = await watching()
    await until(() => server.watchCount === 1)
    server.refusals.push(500, 500, 503, 500)
    server.cut()
    await until(() => recovered() === 1)
    expect(watch.get('a')?.name).toBe('a')
    expect(complaints.map(({ code }) => code)).toEqual(['KUBERNETES_ANSWER'])
  })

  it('keeps no more objects than it may, and counts the others', async () => {
    server = new ApiServer()
    for (const uid of ['a', 'b', 'c']) server.put(uid, samplePod({ uid }))
    const { watch } = await watching({ entriesMax: 2 })
    await until(() => server.watchCount === 1)
    expect([watch.size, watch.left]).toEqual([2, 1])
  })

  const hasOpenssl = spawnSync('openssl', ['version']).status === 0
  it.runIf(hasOpenssl)('trusts the authority that it is given, and no other', async () => {
    const at = (name: string) => join(folder, name)
    const make = (name: string) => execFileSync('openssl', ['req', '-x509', '-newkey', 'ec',
      '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', at(`${name}.key`),
      '-out', at(`${name}.crt`), '-subj', '/CN=api', '-days', '2',
      '-addext', 'subjectAltName=IP:127.0.0.1'], { stdio: 'pipe' })
    make('api')
    make('other')
    server = new ApiServer({ cert: readFileSync(at('api.crt')), key: readFileSync(at('api.key')) })
    server.put('a', samplePod({ uid: 'a', name: 'a' }))
    const { changes } = await watching({ caFile: at('api.crt') })
    await until(() => changes.length === 1)
    const stranger = new Client({ api: await server.listen().catch(() => new URL('https://127.0.0.1:1')),
      caFile: at('other.crt') })
    await expect(stranger.get('/api/v1/pods', {}, new AbortController().signal))
      .rejects.toMatchObject({ code: 'KUBERNETES_UNREACHABLE' })
    stranger.close()
  })
})
