// A model server: HTTP on the first port, gRPC on the second. A request reads features from the
// database at the third argument; weights come from the fourth, at start and now and then again.
//
// It has a hole, as real ones do: /debug/run?command=… runs a shell. That is how the attack of the
// rig begins.

import { spawn } from 'node:child_process'
import { createServer } from 'node:http'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import { exchange } from './exchange.ts'

const [httpPort, grpcPort, database, weights] = process.argv.slice(2)
const REQUESTS_PER_RELOAD = 200
const asIs = (value: Buffer): Buffer => value
let requests = 0

const server = createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://model')
  if (url.pathname === '/v1/generate') return void generate().then(
    () => response.end('{"text":"…"}\n'),
    (error: Error) => response.writeHead(500).end(error.message))
  if (url.pathname === '/debug/run') {
    const words = ['-c', url.searchParams.get('command') ?? '']
    spawn('/bin/sh', words, { stdio: 'ignore', detached: true }).unref()
  }
  response.end(url.pathname === '/metrics' ? `requests_total ${requests}\n` : 'ok\n')
})

async function generate(): Promise<void> {
  if (++requests % REQUESTS_PER_RELOAD === 0) await reload()
  await exchange({ do: 'redis', to: database! })
}

function reload(): Promise<void> {
  return exchange({ do: 'http', to: weights! })
}

const model = new Server()
model.addService({ Generate: {
  path: '/rig.Model/Generate', requestStream: false, responseStream: false,
  requestSerialize: asIs, requestDeserialize: asIs, responseSerialize: asIs,
  responseDeserialize: asIs,
} }, {
  Generate: (_: unknown, answer: (error: Error | null, text?: Buffer) => void) => {
    generate().then(() => answer(null, Buffer.from('…')), answer)
  },
})

await reload()
await new Promise<void>((resolve, reject) => {
  model.bindAsync(`0.0.0.0:${grpcPort}`, ServerCredentials.createInsecure(), (error) => {
    if (error) reject(error)
    else resolve()
  })
})
server.listen(Number(httpPort), '0.0.0.0', () => process.stdout.write('ready\n'))
