/**
 * An API server for tests: it answers over HTTP as Kubernetes does, with pages, resource versions,
 * watches, bookmarks and 410. What it holds is set by the test.
 */
import { createServer } from 'node:http'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'

interface Change { version: number, type: string, object: object }

export class ApiServer {
  readonly requests: string[] = []
  /** Objects in a page at most. */
  pageMax = 500
  /** Answered instead, once per entry: a status. */
  readonly refusals: number[] = []
  /** Tokens that are let in; empty: everyone. */
  tokens: string[] = []
  #version = 100
  readonly #objects = new Map<string, object>()
  #changes: Change[] = []
  /** Watches from before this version are told 410. */
  #forgottenVersion = 0
  readonly #watches = new Set<ServerResponse>()
  readonly #server

  /** @param tls certificate and key, PEM */
  constructor(tls?: { cert: Buffer, key: Buffer }) {
    const listener: RequestListener = (request, response) => this.#answer(request, response)
    this.#server = tls ? createSecureServer(tls, listener) : createServer(listener)
  }

  async listen(): Promise<URL> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    const { port } = this.#server.address() as AddressInfo
    const secure = 'setSecureContext' in this.#server
    return new URL(`${secure ? 'https' : 'http'}://127.0.0.1:${port}`)
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }

  get watchCount(): number { return this.#watches.size }

  /** Adds or changes an object, and tells every watch. */
  put(key: string, object: object): void {
    this.#change(this.#objects.has(key) ? 'MODIFIED' : 'ADDED', key, object)
  }

  remove(key: string): void {
    this.#change('DELETED', key, this.#objects.get(key) ?? {})
  }

  bookmark(): void {
    this.#version++
    this.tell(JSON.stringify({ type: 'BOOKMARK', object: this.#stamped({}) }))
  }

  /** Whoever asks to go on from an older version hears that it is gone. */
  forgetHistory(): void {
    this.#forgottenVersion = ++this.#version
    this.#changes = []
  }

  /** Sends a line, or a part of one, to every watch. */
  tell(text: string, end = '\n'): void {
    for (const watch of this.#watches) watch.write(text + end)
  }

  /** Breaks every connection off. */
  cut(): void {
    this.#server.closeAllConnections()
  }

  #change(type: string, key: string, object: object): void {
    this.#version++
    const stamped = this.#stamped(object)
    if (type === 'DELETED') this.#objects.delete(key)
    else this.#objects.set(key, stamped)
    this.#changes.push({ version: this.#version, type, object: stamped })
    this.tell(JSON.stringify({ type, object: stamped }))
  }

  #stamped(object: object): object {
    const { metadata = {} } = object as { metadata?: object }
    return { ...object, metadata: { ...metadata, resourceVersion: `${this.#version}` } }
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    this.requests.push(request.url ?? '')
    const { searchParams } = new URL(request.url ?? '/', 'http://localhost')
    const token = request.headers.authorization?.replace('Bearer ', '') ?? ''
    const refusal = this.tokens.length > 0 && !this.tokens.includes(token) ? 401
      : this.refusals.shift()
    if (refusal !== undefined) {
      response.writeHead(refusal).end(JSON.stringify({ kind: 'Status', code: refusal }))
      return
    }
    if (searchParams.get('watch') === '1') this.#watch(response, searchParams)
    else this.#list(response, searchParams)
  }

  #list(response: ServerResponse, query: URLSearchParams): void {
    const from = Number(query.get('continue') ?? 0)
    const limit = Math.min(this.pageMax, Number(query.get('limit') ?? Infinity))
    const items = [...this.#objects.values()].slice(from, from + limit)
    const more = from + limit < this.#objects.size ? { continue: `${from + limit}` } : {}
    response.end(JSON.stringify({
      kind: 'List', metadata: { resourceVersion: `${this.#version}`, ...more }, items,
    }))
  }

  #watch(response: ServerResponse, query: URLSearchParams): void {
    const from = Number(query.get('resourceVersion'))
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
    if (from < this.#forgottenVersion) {
      const object = { kind: 'Status', code: 410, reason: 'Expired' }
      response.end(`${JSON.stringify({ type: 'ERROR', object })}\n`)
      return
    }
    for (const { version, type, object } of this.#changes) {
      if (version > from) response.write(`${JSON.stringify({ type, object })}\n`)
    }
    this.#watches.add(response)
    response.on('close', () => this.#watches.delete(response))
  }
}
