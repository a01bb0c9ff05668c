// Names and time for the rig: DNS on port 53 for the names in the argument (JSON, name → IPv4
// address), and what looks like NTP on port 123. Both over UDP.

import { createSocket } from 'node:dgram'
import type { Socket } from 'node:dgram'

const addresses = JSON.parse(process.argv[2]!) as Record<string, string>
const A = 1
const HEADER_BYTES = 12
const TTL_S = 30

await serve(53, answer)
await serve(123, (packet) => {
  const reply = Buffer.alloc(48)
  reply[0] = 0x24 // version 4, server
  packet.copy(reply, 24, 40, 48)
  return reply
})
process.stdout.write('ready\n')

function serve(port: number, reply: (packet: Buffer) => Buffer | null): Promise<Socket> {
  const socket = createSocket('udp4')
  socket.on('message', (packet, { address, port: peerPort }) => {
    const bytes = reply(packet)
    if (bytes) socket.send(bytes, peerPort, address)
  })
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.bind(port, '0.0.0.0', () => resolve(socket))
  })
}

/** One question, as resolvers ask: the address, an empty answer for other types, or no such name. */
function answer(packet: Buffer): Buffer | null {
  if (packet.length < HEADER_BYTES + 5) return null
  const labels: string[] = []
  let at = HEADER_BYTES
  while (at < packet.length && packet[at] !== 0) {
    labels.push(packet.toString('latin1', at + 1, at + 1 + packet[at]!))
    at += 1 + packet[at]!
  }
  const end = at + 5
  if (end > packet.length) return null
  const address = addresses[labels.join('.').toLowerCase()]
  const found = address !== undefined && packet.readUInt16BE(at + 1) === A
  const header = Buffer.from(packet.subarray(0, HEADER_BYTES))
  header.writeUInt16BE(0x8180 | (address === undefined ? 3 : 0), 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(found ? 1 : 0, 6)
  header.writeUInt32BE(0, 8)
  const record = Buffer.alloc(found ? 16 : 0)
  if (found) {
    record.writeUInt16BE(0xc00c, 0) // the name of the question
    record.writeUInt16BE(A, 2)
    record.writeUInt16BE(1, 4)
    record.writeUInt32BE(TTL_S, 6)
    record.writeUInt16BE(4, 10)
    address!.split('.').forEach((part, i) => record.writeUInt8(Number(part), 12 + i))
  }
  return Buffer.concat([header, packet.subarray(HEADER_BYTES, end), record])
}
