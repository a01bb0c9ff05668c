// One request to the API server.

import { readFileSync } from 'node:fs'
import { Agent as HttpAgent, request as httpRequest } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { Token } from './access.ts'
import type { Access } from './access.ts'
import { KubernetesError } from './errors.ts'

/** A page of a list; 500 pods are about 5 MiB. */
const bodyBytesMax = 64 * 1024 * 1024
const connectMsMax = 10_000

/** Requests over connections that are kept open. */
export class Client {
  readonly #access: Access
  readonly #token: Token
  readonly #agent: HttpAgent

  constructor(access: Access) {
    this.#access = access
    this.#token = new Token(access.tokenFile)
    const options = { keepAlive: true, maxSockets: 8 }
    this.#agent = access.api.protocol === 'https:' ? new HttpsAgent(options)
      : new HttpAgent(options)
  }

  /** Ends the connections that are kept open. */
  close(): void {
    this.#agent.destroy()
  }

  /** The body as JSON. Rejects with KubernetesError. */
  async get(path: string, query: Record<string, string>, signal: AbortSignal): Promise<unknown> {
    const response = await this.open(path, query, signal)
    const body = await bodyOf(response, path, signal)
    try {
      return JSON.parse(body)
    } catch (error) {
      throw new KubernetesError('KUBERNETES_ANSWER', `${path} answered with no JSON`, 200, error)
    }
  }

  /** The answer to read from, status 200. A refused token is read again once. */
  async open(
    path: string, query: Record<string, string>, signal: AbortSignal, idleMsMax = 60_000,
  ): Promise<IncomingMessage> {
    const first = await this.#send(path, query, signal, idleMsMax)
    if (first.statusCode !== 401) return this.#good(first, path)
    first.resume()
    this.#token.expire()
    return this.#good(await this.#send(path, query, signal, idleMsMax), path)
  }

  #good(response: IncomingMessage, path: string): IncomingMessage {
    const { statusCode: status = 0 } = response
    if (status === 200) return response
    response.resume()
    const code = status === 401 || status === 403 ? 'KUBERNETES_REFUSED' : 'KUBERNETES_ANSWER'
    throw new KubernetesError(code, `${this.#access.api.host}${path} answered ${status}`, status)
  }

  #send(
    path: string, query: Record<string, string>, signal: AbortSignal, idleMsMax: number,
  ): Promise<IncomingMessage> {
    const { api, caFile } = this.#access
    const url = new URL(path, api)
    url.search = new URLSearchParams(query).toString()
    const authorization = this.#token.header(Date.now())
    const headers = { accept: 'application/json', ...(authorization && { authorization }) }
    const secure = api.protocol === 'https:'
    return new Promise((resolve, reject) => {
      const options = { agent: this.#agent, headers, signal, timeout: connectMsMax }
      const sent = secure
        ? httpsRequest(url, { ...options, ca: caFile && readCa(caFile) })
        : httpRequest(url, options)
      sent.on('timeout', () => sent.destroy(new Error('no answer in time')))
      sent.on('error', (error) => reject(new KubernetesError('KUBERNETES_UNREACHABLE',
        `the Kubernetes API at ${api.host} cannot be reached (${error.message})`, 0, error)))
      sent.on('response', (response) => {
        sent.setTimeout(idleMsMax)
        resolve(response)
      })
      sent.end()
    })
  }
}

function readCa(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new KubernetesError('KUBERNETES_ACCESS', `${file} cannot be read`, 0, error)
  }
}

async function bodyOf(
  response: IncomingMessage, path: string, signal: AbortSignal,
): Promise<string> {
  const parts: Buffer[] = []
  let bytes = 0
  try {
    for await (const part of response as AsyncIterable<Buffer>) {
      bytes += part.length
      if (bytes > bodyBytesMax) {
        throw new KubernetesError('KUBERNETES_ANSWER', `${path} answered with more than 64 MiB`)
      }
      parts.push(part)
    }
  } catch (error) {
    if (error instanceof KubernetesError || signal.aborted) throw error
    throw new KubernetesError('KUBERNETES_UNREACHABLE', `${path}: the answer broke off`, 0, error)
  }
  return Buffer.concat(parts).toString('utf8')
}
