import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { createMetrics } from '../metrics.ts'
import { Outbox } from './outbox.ts'

type Take = (alerts: { labels: { id: string } }[], request: IncomingMessage, response: ServerResponse) => void

const opened: (() => Promise<unknown>)[] = []
afterEach(async () => { for (const close of opened.splice(0).reverse()) await close() })

/** Something that answers like an Alertmanager, or not. Gives its URL. */
async function receiver(take: Take): Promise<string> {
  const server: Server = createServer((request, response) => {
    let text = ''
    request.on('data', (part: Buffer) => { text += part.toString() })
    request.on('end', () => take(JSON.parse(text) as { labels: { id: string } }[], request, response))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  opened.push(async () => { server.closeAllConnections(); server.close(); await once(server, 'close') })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function outbox(url: string, change = {}) {
  const metrics = createMetrics()
  const lines: string[] = []
  const box = new Outbox({
    url, pendingMax: 1000, giveUpMs: 60_000, timeoutMs: 5000, backoffMs: 5, sent: metrics.alertsSent,
    undelivered: metrics.alertsUndelivered, failures: metrics.alertFailures,
    report: (line) => void lines.push(line), ...change,
  })
  opened.push(() => box.close(0))
  const delivered: string[] = []
  const put = (id: string) => box.put({
    key: id, delivered: () => void delivered.push(id),
    body: () => ({ labels: { id }, annotations: {}, startsAt: '', endsAt: '', generatorURL: '' }),
  })
  const value = async (metric: { get(): Promise<{ values: { value: number }[] }> }) =>
    (await metric.get()).values[0].value
  return { box, put, delivered, lines, undelivered: () => value(metrics.alertsUndelivered) }
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 2000 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 5))
  expect(condition()).toBe(true)
}

describe('the outbox of an Alertmanager', () => {
  it('sends what comes together in one post, the newest state of each', async () => {
    const posts: string[][] = []
    const { put, delivered, box } = outbox(await receiver((alerts, request, response) => {
      expect(request.url).toBe('/prefix/api/v2/alerts')
      expect(request.headers.authorization).toBe(`Basic ${Buffer.from('me:pa:ss').toString('base64')}`)
      posts.push(alerts.map(({ labels }) => labels.id))
      response.end()
    }).then((url) => `${url.replace('//', '//me:pa%3Ass@')}/prefix/`))
    for (const id of ['a', 'b', 'a', 'c']) put(id)
    await until(() => delivered.length === 3)
    expect(posts).toEqual([['a', 'b', 'c']])
    expect(box.pending).toBe(0)
    expect(box.instance).not.toContain('me')
  })

  it('tries again until it works, and reports the trouble once', async () => {
    let calls = 0
    const { put, delivered, lines, undelivered } = outbox(await receiver((_alerts, _request, response) => {
      response.statusCode = ++calls < 4 ? 503 : 200
      response.end('later')
    }))
    put('a')
    await until(() => delivered.length === 1)
    expect(lines.filter((line) => line.includes('HTTP 503: later'))).toHaveLength(1)
    expect(lines.at(-1)).toContain('takes alerts again')
    expect(await undelivered()).toBe(0)
  })

  it('takes a 400 for a bad one among good ones, and gives up only the bad one', async () => {
    const { put, delivered, lines, undelivered, box } = outbox(await receiver((alerts, _request, response) => {
      response.statusCode = alerts.some(({ labels }) => labels.id === 'bad') ? 400 : 200
      response.end('bad label')
    }))
    for (const id of ['a', 'bad', 'b']) put(id)
    await until(() => box.pending === 0)
    expect(delivered).toEqual(['a', 'b'])
    expect(await undelivered()).toBe(1)
    expect(lines.join()).toContain('alert bad is undelivered: HTTP 400: bad label')
  })

  it('gives up the oldest when too many wait, and what is too old, and counts both', async () => {
    const full = outbox('http://127.0.0.1:9', { pendingMax: 2 })
    for (const id of ['a', 'b', 'c']) full.put(id)
    expect(full.box.pending).toBe(2)
    expect(full.lines[0]).toContain('alert a is undelivered')
    const late = outbox('http://127.0.0.1:9', { giveUpMs: 10 })
    late.put('a')
    await until(() => late.box.pending === 0)
    expect(await late.undelivered()).toBe(1)
  })

  it('delays no other when its instance is slow or hangs', async () => {
    const hanging = outbox(await receiver(() => {}), { timeoutMs: 200 })
    const quick = outbox(await receiver((_alerts, _request, response) => void response.end()))
    for (let i = 0; i < 250; i++) for (const { put } of [hanging, quick]) put(`${i}`)
    await until(() => quick.delivered.length === 250)
    expect(hanging.box.pending).toBe(250)
    await until(() => hanging.lines.length > 0)
    expect(hanging.lines[0]).toContain('timeout')
  })
})
