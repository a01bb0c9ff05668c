// Stands between the agents and the correlator and is the bad network: holds what goes to and from
// a node (hold, release), lets nothing come back to it (mute), or cuts it off (cut, mend). Commands
// come as lines of JSON: {"do": "hold", "port": N}. Arguments: the port of the correlator, then the
// ports to listen on.

import { connect, createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { createInterface } from 'node:readline'

interface Way {
  server: Server
  held: boolean
  muted: boolean
  sockets: Set<Socket>
}

const [target, ...ports] = process.argv.slice(2).map(Number)
const ways = new Map<number, Way>()

for (const port of ports) {
  const way: Way = { held: false, muted: false, sockets: new Set(), server: createServer() }
  way.server.on('connection', (agent) => join(way, agent))
  ways.set(port, way)
  await listen(way, port)
}
process.stdout.write('ready\n')

for await (const line of createInterface({ input: process.stdin })) {
  const { do: what, port } = JSON.parse(line) as { do: string, port: number }
  const way = ways.get(port)!
  if (what === 'hold' || what === 'release') {
    way.held = what === 'hold'
    for (const socket of way.sockets) {
      if (way.held) socket.pause()
      else socket.resume()
    }
  } else if (what === 'mute') way.muted = true
  else if (what === 'cut') {
    way.server.close()
    way.muted = false
    for (const socket of way.sockets) socket.destroy()
  } else if (what === 'mend') await listen(way, port)
  process.stdout.write(`done ${what} ${port}\n`)
}

function join(way: Way, agent: Socket): void {
  const correlator = connect({ port: target, host: '127.0.0.1' })
  for (const [one, other] of [[agent, correlator], [correlator, agent]] as const) {
    way.sockets.add(one)
    one.on('data', (bytes) => {
      if (way.muted && one === correlator) return
      if (!other.write(bytes)) one.pause()
    })
    other.on('drain', () => {
      if (!way.held) one.resume()
    })
    one.on('error', () => other.destroy())
    one.on('close', () => {
      way.sockets.delete(one)
      other.destroy()
    })
  }
  if (!way.held) return
  agent.pause()
  correlator.pause()
}

function listen(way: Way, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    way.server.once('error', reject)
    way.server.listen(port, '0.0.0.0', () => {
      way.server.off('error', reject)
      resolve()
    })
  })
}
