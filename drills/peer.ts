// A program of a drill, so that the kernel sees a real process. Started inside of a network
// namespace of the drill:
//   node peer.ts listen ADDRESS [PORT]             prints its port; takes one connection
//   node peer.ts connect FROM ADDRESS PORT BYTES
//   node peer.ts scan FROM ADDRESS PORTS           tries the ports from 1 on, one after the other
//   node peer.ts command ADDRESS COMMAND...        prints its port; types the commands to who comes
//   node peer.ts shell FROM ADDRESS PORT           a shell that is led by who listens there
//   node peer.ts service ADDRESS                   prints its port; a shell for who comes
//   node peer.ts type FROM ADDRESS PORT COMMAND... connects, and types the commands
//   node peer.ts leak FROM ADDRESS PORT FOLDER     connects, and sends the files of a folder
// Or where the drill itself runs:
//   node peer.ts read FOLDER                       reads its files; prints how many bytes they have
//   node peer.ts change FILE                       writes over its beginning
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { Socket } from 'node:net'
import { join } from 'node:path'

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

/** Types the commands, and reads until the other end has done them. */
function command(socket: Socket, commands: string[]): void {
  socket.resume()
  socket.write(commands.map((one) => `${one}\n`).join(''))
  socket.on('end', () => socket.end())
}

function failed(error: Error): void {
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 1
}

function send(socket: Socket, bytes: number): void {
  socket.resume()
  socket.end(Buffer.alloc(bytes, 'drill '))
}

function filesOf(folder: string): Buffer[] {
  return readdirSync(folder).map((name) => readFileSync(join(folder, name)))
}

function leak(socket: Socket, folder: string): void {
  socket.resume()
  socket.end(Buffer.concat(filesOf(folder)))
}

function read(folder: string): void {
  const bytes = filesOf(folder).reduce((sum, file) => sum + file.length, 0)
  process.stdout.write(`${bytes}\n`)
}

function change(file: string): void {
  const descriptor = openSync(file, 'r+')
  process.stdout.write(`${writeSync(descriptor, 'changed by a drill')}\n`)
  closeSync(descriptor)
}

async function scan(localAddress: string, host: string, ports: number): Promise<void> {
  for (let port = 1; port <= ports; port++) {
    const socket = connect({ host, port, localAddress })
    await Promise.race([once(socket, 'connect'), once(socket, 'close')]).catch(() => undefined)
    socket.destroy()
  }
}

/** A shell with the connection as its standard streams; its pid is printed. */
function lead(socket: Socket): void {
  const child = spawn('/bin/sh', [], { stdio: [socket, socket, socket] })
  child.once('error', failed)
  child.once('spawn', () => process.stdout.write(`${child.pid}\n`))
  child.once('exit', () => socket.destroy())
}

function call(
  localAddress: string, host: string, port: number, then: (socket: Socket) => void,
): void {
  const socket = connect({ host, port, localAddress })
  socket.once('error', failed)
  socket.once('connect', () => then(socket))
}

function act(role: string, address: string, words: string[]): void {
  const [host, port] = [words[0], Number(words[1])]
  switch (role) {
    case 'listen': return listen(address, Number(words[0] ?? 0), count)
    case 'command': return listen(address, 0, (socket) => command(socket, words))
    case 'service': return listen(address, 0, lead)
    case 'scan': return void scan(address, host, port)
    case 'shell': return call(address, host, port, lead)
    case 'type': return call(address, host, port, (socket) => command(socket, words.slice(2)))
    case 'connect': return call(address, host, port, (socket) => send(socket, Number(words[2])))
    case 'leak': return call(address, host, port, (socket) => leak(socket, words[2]))
    case 'read': return read(address)
    case 'change': return change(address)
    default: throw new TypeError(`no such role: ${role}`)
  }
}

if (import.meta.main) {
  const [role, address, ...words] = process.argv.slice(2)
  setTimeout(() => process.exit(1), LIFE_MS).unref()
  act(role, address, words)
}
