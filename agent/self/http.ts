// /metrics for Prometheus, /livez and /readyz for those who start and watch the agent.

import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Registry } from 'prom-client'
import { splitAddress } from '../config.ts'
import { AgentError } from '../errors.ts'

export interface HttpOptions {
  /** `host:port`; port 0 is chosen by the system. */
  listen: string
  registry: Registry
  /** Why the agent cannot do its work now; empty when it can. */
  problems(): string[]
}

const text = { 'content-type': 'text/plain; charset=utf-8' }

/** Listens. Rejects with AgentError AGENT_PORT_IN_USE or AGENT_LISTEN. */
export async function listen(options: HttpOptions): Promise<Server & { port: number }> {
  const { host, port } = splitAddress(options.listen)!
  const server = createServer((request, response) => void answer(options, request, response))
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const code = error.code === 'EADDRINUSE' ? 'AGENT_PORT_IN_USE' : 'AGENT_LISTEN'
      reject(new AgentError(code, `${options.listen}: cannot listen (${error.code})`, error))
    })
    server.listen(port, host, resolve)
  })
  return Object.assign(server, { port: (server.address() as AddressInfo).port })
}

/** Stops listening; answers under way are cut off. */
export async function close(server: Server): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve))
  server.closeAllConnections()
  await closed
}

async function answer(
  options: HttpOptions, request: IncomingMessage, response: ServerResponse,
): Promise<void> {
  const path = request.url?.split('?')[0]
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.writeHead(405, { ...text, allow: 'GET, HEAD' }).end('only GET is answered\n')
  } else if (path === '/metrics') {
    const { registry } = options
    response.writeHead(200, { 'content-type': registry.contentType }).end(await registry.metrics())
  } else if (path === '/livez') {
    response.writeHead(200, text).end('ok\n')
  } else if (path === '/readyz') {
    const problems = options.problems()
    response.writeHead(problems.length > 0 ? 503 : 200, text)
      .end(problems.length > 0 ? `${problems.join('\n')}\n` : 'ok\n')
  } else {
    response.writeHead(404, text).end('there are /metrics, /livez and /readyz\n')
  }
}
