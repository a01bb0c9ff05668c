// One rank of a training job: several connections to every other rank, over which gradients go in
// bursts, and which are made anew now and then, as collective libraries do after a check-point.
// Data comes from storage over a connection per shard, check-points go back there. Where the node
// has a data set of its own, each round reads all of it.
// Arguments: own port, store URL, then host:port of the other ranks. Says at SIGTERM what it did.

import { existsSync, readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { connect, createServer, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { exchange } from './exchange.ts'

const [port, store, ...peers] = process.argv.slice(2)
const CHANNELS = 4
const BURST = Buffer.alloc(256 * 1024, 'gradient')
const STEP_MS = 250
const STEPS_PER_SHARD = 4
const STEPS_PER_CHECKPOINT = 40
const SHARD_BYTES = 200_000
const CHECKPOINT_BYTES = 500_000
const CORPUS = '/srv/train/corpus'

let [steps, shards, failures] = [0, 0, 0]
let stopping = false
process.on('SIGTERM', () => { stopping = true })

const server = createServer((socket) => socket.on('error', () => {}).resume())
await new Promise<void>((resolve) => server.listen(Number(port), '0.0.0.0', resolve))
process.stdout.write('ready\n')

while (!stopping) {
  const channels = await Promise.all(peers.flatMap((peer) => Array.from({ length: CHANNELS },
    () => open(peer))))
  const files = existsSync(CORPUS) ? readdirSync(CORPUS) : []
  for (const file of files) await readFile(`${CORPUS}/${file}`)
  for (let step = 0; step < STEPS_PER_CHECKPOINT && !stopping; step++) {
    if (steps++ % STEPS_PER_SHARD === 0) await get(`${store}/data/${SHARD_BYTES}`)
    for (const channel of channels) channel.write(BURST)
    await sleep(STEP_MS)
  }
  for (const channel of channels) channel.destroy()
  await get(`${store}/checkpoint`, 'PUT', CHECKPOINT_BYTES)
}
process.stdout.write(`${JSON.stringify({ steps, shards, failures })}\n`)
process.exit(0)

async function get(to: string, method = 'GET', bytes = 0): Promise<void> {
  try {
    await exchange({ do: 'http', to, method, bytes })
    shards++
  } catch {
    failures++
  }
}

/** The other ranks may start later, and end earlier. */
async function open(peer: string): Promise<Socket> {
  const [host, peerPort] = peer.split(':')
  while (!stopping) {
    const socket = connect(Number(peerPort), host)
    const connected = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    })
    if (connected) return socket.on('error', () => {})
    await sleep(100)
  }
  return new Socket()
}
