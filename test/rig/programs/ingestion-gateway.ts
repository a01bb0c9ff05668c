// Takes uploads over HTTP and puts each into storage. Arguments: the port, the URL of the store.

import { createServer } from 'node:http'
import { exchange } from './exchange.ts'

const [port, store] = process.argv.slice(2)

const server = createServer((request, response) => {
  let bytes = 0
  request.on('data', (piece: Buffer) => { bytes += piece.length }).on('end', () => {
    if (request.method !== 'PUT') return response.end('ok\n')
    exchange({ do: 'http', to: store!, method: 'PUT', bytes }).then(
      () => response.end('stored\n'),
      (error: Error) => response.writeHead(502).end(error.message))
  })
})
server.listen(Number(port), '0.0.0.0', () => process.stdout.write('ready\n'))
