// One end of a connection, as a program of its own, so that the kernel sees a real process. Started
// by a drill inside a network namespace:
//   node peer.ts listen ADDRESS                 prints its port; takes one connection
//   node peer.ts connect FROM ADDRESS PORT BYTES
import { connect, createServer } from 'node:net'

/** Ends by itself, also when the drill was killed. */
const LIFE_MS = 20_000

function listen(host: string): void {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    server.close()
    let bytes = 0
    socket.on('data', (data) => { bytes += data.length })
    socket.on('end', () => socket.end(`${bytes} bytes received\n`))
    socket.on('error', () => undefined)
  })
  server.listen(0, host, () => {
    const address = server.address()
    process.stdout.write(`${typeof address === 'object' ? address?.port : ''}\n`)
  })
}

function send(localAddress: string, host: string, port: number, bytes: number): void {
  const socket = connect({ host, port, localAddress })
  socket.resume()
  socket.once('connect', () => socket.end(Buffer.alloc(bytes, 'drill ')))
  socket.once('error', (error) => {
    process.stderr.write(`${error.message}\n`)
    process.exitCode = 1
  })
}

if (import.meta.main) {
  const [role, ...words] = process.argv.slice(2)
  setTimeout(() => process.exit(1), LIFE_MS).unref()
  if (role === 'listen') listen(words[0])
  else send(words[0], words[1], Number(words[2]), Number(words[3]))
}
