// A real program for the probe tests: opens, uses and ends TCP connections as it is told.
// One JSON command per line on stdin, one JSON answer per line on stdout. It holds at most one
// listener and one connection, its own or an accepted one. Ends when stdin ends.

import { createServer, connect } from 'node:net'
import type { Server, Socket } from 'node:net'
import { createInterface } from 'node:readline'

/** What it can be told. `bytes` are payload. */
export type ActorCommand =
  | { do: 'hello' }
  /** `read: false` leaves what arrives in the kernel. Answer: port. */
  | { do: 'listen', host: string, read?: boolean }
  /** Waits for the next connection to the listener. Answer: remote_port. */
  | { do: 'accept' }
  /** Answer: local_port, or error (such as 'ECONNREFUSED'). */
  | { do: 'connect', host: string, port: number }
  /** Begins a connection and leaves it alone. */
  | { do: 'connect_without_waiting', host: string, port: number }
  /** Answers when the kernel took them all. */
  | { do: 'send', bytes: number }
  /** Answers when so many were read since the connection began. */
  | { do: 'receive', bytes: number }
  /** FIN; answers at once. */
  | { do: 'finish' }
  /** RST at once. */
  | { do: 'reset' }
  /** close(): RST when something was not read. */
  | { do: 'destroy' }
  /** Answers when the connection is gone for this process. */
  | { do: 'gone' }

export type ActorAnswer = { pid?: number, port?: number, remote_port?: number, local_port?: number,
  error?: string }

let server: Server | undefined
let waiting: Socket[] = []
let socket: Socket | undefined
let received = 0
let changed: () => void = () => {}

function adopt(next: Socket): Socket {
  socket = next
  received = 0
  socket.on('error', () => changed()).on('close', () => changed())
  return socket
}

/** Resolves when the condition holds; asked again after every byte, connection or end. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise<void>((resolve) => { changed = resolve })
}

function countReceived(from: Socket): void {
  from.on('data', (data) => {
    received += data.length
    changed()
  })
}

async function listen(host: string, read: boolean): Promise<ActorAnswer> {
  server?.close()
  waiting = []
  const next = createServer({ pauseOnConnect: true }, (accepted) => {
    // Until it is accepted nobody else listens to what becomes of it.
    accepted.on('error', () => {})
    if (read) accepted.resume()
    waiting.push(accepted)
    changed()
  })
  server = next
  await new Promise<void>((resolve) => next.listen(0, host, resolve))
  const address = next.address()
  return { port: typeof address === 'object' ? address?.port : undefined }
}

function begin(host: string, port: number): Socket {
  return adopt(connect({ host, port }))
}

async function perform(command: ActorCommand): Promise<ActorAnswer> {
  switch (command.do) {
    case 'hello': return { pid: process.pid }
    case 'listen': return await listen(command.host, command.read ?? true)
    case 'accept': {
      await until(() => waiting.length > 0)
      const accepted = adopt(waiting.shift() as Socket)
      if (!accepted.isPaused()) countReceived(accepted)
      return { remote_port: accepted.remotePort }
    }
    case 'connect': {
      const next = begin(command.host, command.port)
      return await new Promise((resolve) => {
        next.once('error', (error: NodeJS.ErrnoException) => resolve({ error: error.code }))
        next.once('connect', () => {
          countReceived(next)
          resolve({ local_port: next.localPort })
        })
      })
    }
    case 'connect_without_waiting':
      begin(command.host, command.port)
      return {}
    case 'receive':
      await until(() => received >= command.bytes)
      return {}
    case 'gone':
      await until(() => socket?.closed ?? true)
      return {}
    default: return await use(socket as Socket, command)
  }
}

async function use(own: Socket, command: ActorCommand): Promise<ActorAnswer> {
  if (command.do === 'send') {
    await new Promise((resolve) => own.write(Buffer.alloc(command.bytes, 'v'), resolve))
  }
  if (command.do === 'finish') own.end()
  if (command.do === 'reset') own.resetAndDestroy()
  if (command.do === 'destroy') own.destroy()
  return {}
}

if (import.meta.main) {
  for await (const line of createInterface({ input: process.stdin })) {
    const answer = await perform(JSON.parse(line) as ActorCommand)
    process.stdout.write(`${JSON.stringify(answer)}\n`)
  }
  process.exit(0)
}
