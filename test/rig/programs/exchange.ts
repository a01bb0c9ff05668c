// The ways in which programs of the rig talk: each opens a connection of its own and closes it,
// and rejects when the other end does not answer as it should.

import { execFile } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { request } from 'node:http'
import { connect } from 'node:net'
import { Client, credentials } from '@grpc/grpc-js'

const TIMEOUT_MS = 20_000
const BYTES_PATH = '/rig.Model/Generate'
const asIs = (value: Buffer): Buffer => value

/** What can be done, by name: `http://…` with a body for PUT and POST, and so on. */
export interface Exchange {
  do: 'http' | 'grpc' | 'redis' | 'ntp' | 'run'
  /** URL, or host:port. */
  to: string
  method?: string
  /** Body to send. */
  bytes?: number
  /** Local address, where a node has several. */
  from?: string
  /** Program and words, for `run`. */
  words?: string[]
}

/** Does it once. */
export function exchange(what: Exchange): Promise<void> {
  switch (what.do) {
    case 'http': return http(what)
    case 'grpc': return grpc(what)
    case 'redis': return redis(what)
    case 'ntp': return ntp(what)
    case 'run': return run(what)
  }
}

function http({ to, method = 'GET', bytes = 0, from }: Exchange): Promise<void> {
  return new Promise((resolve, reject) => {
    const options = { method, localAddress: from, agent: false as const, timeout: TIMEOUT_MS }
    const outgoing = request(to, options, (response) => {
      response.resume().on('error', reject).on('end', () => {
        if (response.statusCode === 200) resolve()
        else reject(new Error(`${to} answered ${response.statusCode}`))
      })
    })
    outgoing.on('error', reject).on('timeout', () => outgoing.destroy(new Error('timeout')))
    outgoing.end(bytes > 0 ? Buffer.alloc(bytes, 'x') : undefined)
  })
}

function grpc({ to }: Exchange): Promise<void> {
  const client = new Client(to, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1, 'grpc.enable_http_proxy': 0,
  })
  return new Promise<void>((resolve, reject) => {
    client.makeUnaryRequest(BYTES_PATH, asIs, asIs, Buffer.from('prompt'), (error) => {
      if (error) reject(error)
      else resolve()
    })
  }).finally(() => client.close())
}

function redis({ to }: Exchange): Promise<void> {
  const [host, port] = to.split(':')
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), host)
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error('timeout')))
    socket.on('error', reject).on('close', () => resolve())
    socket.on('data', () => socket.end())
    socket.write('*2\r\n$3\r\nGET\r\n$7\r\nfeature\r\n')
  })
}

function ntp({ to }: Exchange): Promise<void> {
  const [host, port] = to.split(':')
  const socket = createSocket('udp4')
  return new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no time from ${to}`)), TIMEOUT_MS)
    socket.on('error', reject).on('message', () => {
      clearTimeout(timer)
      resolve()
    })
    const packet = Buffer.alloc(48)
    packet[0] = 0x23 // version 4, client
    socket.send(packet, Number(port), host)
  }).finally(() => socket.close())
}

function run({ words = [] }: Exchange): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(words[0]!, words.slice(1), { timeout: TIMEOUT_MS }, (error, _, stderr) => {
      if (error) reject(new Error(`${words.join(' ')}: ${stderr || error.message}`))
      else resolve()
    })
  })
}
