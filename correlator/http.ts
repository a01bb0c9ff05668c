/** /metrics, /livez and /readyz. */
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Registry } from 'prom-client'
import { hostPort } from './config.ts'
import { CorrelatorError } from './errors.ts'

/** A listening server. */
export interface HttpServer {
  port: number
  close(): Promise<void>
}

/** Why this correlator cannot do its work now; empty when it can. */
export interface Health {
  notReady(): string[]
}

/** Opens `listen` (host:port; port 0: chosen by the system). Rejects with LISTEN_FAILED. */
export async function listenHttp(
  listen: string, registry: Registry, health: Health,
): Promise<HttpServer> {
  const server = createServer((request, response) => {
    answer(registry, health, request, response).catch((error: Error) => {
      response.writeHead(500, TEXT).end(`${error.message}\n`)
    })
  })
  const { host, port } = hostPort(listen)!
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new CorrelatorError(
      'LISTEN_FAILED', `listen_http ${listen}: ${error.message}`, error)))
    server.listen(port, host, resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    close: () => new Promise((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    }),
  }
}

const TEXT = { 'content-type': 'text/plain; charset=utf-8' }

async function answer(
  registry: Registry, health: Health, request: IncomingMessage, response: ServerResponse,
): Promise<void> {
  const path = (request.url ?? '').split('?')[0]
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.writeHead(405, { ...TEXT, allow: 'GET, HEAD' }).end('only GET\n')
  } else if (path === '/metrics') {
    response.writeHead(200, { 'content-type': registry.contentType }).end(await registry.metrics())
  } else if (path === '/livez') {
    response.writeHead(200, TEXT).end('ok\n')
  } else if (path === '/readyz') {
    const reasons = health.notReady()
    const code = reasons.length === 0 ? 200 : 503
    response.writeHead(code, TEXT).end(`${reasons.join('\n') || 'ok'}\n`)
  } else {
    response.writeHead(404, TEXT).end('/metrics, /livez and /readyz are here\n')
  }
}
