// Storage over HTTP: GET /data/N answers with N bytes, PUT takes what comes, /healthz and /metrics
// are for the operators. Argument: the port.

import { createServer } from 'node:http'

const piece = Buffer.alloc(64 * 1024, 'vedette rig ')
let requests = 0

const server = createServer((request, response) => {
  requests++
  const bytes = /^\/data\/(\d+)$/.exec(request.url ?? '')?.[1]
  request.on('end', () => {
    if (bytes !== undefined) return send(Number(bytes))
    if (request.url === '/metrics') return response.end(`requests_total ${requests}\n`)
    response.end('ok\n')
  }).resume()

  function send(left: number): void {
    response.setHeader('content-length', left)
    const more = (): void => {
      while (left > 0) {
        const part = piece.subarray(0, Math.min(left, piece.length))
        left -= part.length
        if (!response.write(part)) return void response.once('drain', more)
      }
      response.end()
    }
    more()
  }
})
server.listen(Number(process.argv[2]), '0.0.0.0', () => process.stdout.write('ready\n'))
