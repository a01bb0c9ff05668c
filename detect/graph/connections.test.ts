import { describe, expect, it } from 'vitest'
import { parseAddress } from '../../proto/address.ts'
import { connectionKey } from './keys.ts'
import { flag } from './connection-columns.ts'
import { Connections } from './connections.ts'
import type { ConnectionOptions, EndEvent } from './connections.ts'

const [client, server] = [parseAddress('10.0.0.1'), parseAddress('10.0.0.2')]
const { clientSeen, serverSeen } = flag

function end(port: number, side: number, change: Partial<EndEvent> = {}): EndEvent {
  const key = { low: 0, high: 0 }
  connectionKey(client, 0, port, server, 0, 80, 6, 0, key)
  const isClient = side === clientSeen
  return {
    ...key, side, process: side, source: side, seq: port, atMs: 1000, offsetMs: 0,
    atStart: false, translated: false, protocol: 6,
    means: 0, nearAddr: isClient ? client : server, nearAt: 0, nearPort: isClient ? port : 80,
    farAddr: isClient ? server : client, farAt: 0, farPort: isClient ? 80 : port, ...change,
  }
}

function table(options: ConnectionOptions = {}): Connections {
  return new Connections(options)
}

describe('connections', () => {
  it('have two ends, which come in either order and meet once', () => {
    for (const [a, b] of [[clientSeen, serverSeen], [serverSeen, clientSeen]]) {
      const connections = table()
      const slot = connections.open(end(5, a))
      expect(connections.met).toBe(false)
      expect(connections.open(end(5, b))).toBe(slot)
      expect(connections.met).toBe(true)
      const { columns } = connections
      expect([columns.client.get(slot), columns.server.get(slot)]).toEqual([1, 2])
      expect([columns.clientPort.get(slot), columns.serverPort.get(slot)]).toEqual([5, 80])
      expect(columns.clientAddr.slice(16 * slot, 16 * slot + 16)).toEqual(client)
      expect(connections.open(end(5, b))).not.toBe(slot)
    }
  })

  it('do not take an end from long ago for the other one, however late it is told', () => {
    const connections = table({ skewMs: 5000 })
    const slot = connections.open(end(5, clientSeen))
    expect(connections.open(end(5, serverSeen, { atMs: 7000 }))).not.toBe(slot)
    connections.nowMs = 170_000
    expect(connections.open(end(5, serverSeen, { atMs: 2000, offsetMs: 3000 }))).toBe(slot)
  })

  it('of the same addresses and ports are told apart by their times', () => {
    const connections = table()
    const [first, second] = [1000, 31_000].map((atMs) => {
      const slot = connections.open(end(5, clientSeen, { atMs }))
      connections.close(slot, clientSeen, atMs + 10, 0, 0)
      return slot
    })
    // The other node had been cut off, and its clock is two seconds ahead.
    expect(connections.open(end(5, serverSeen, { atMs: 3000 }))).toBe(first)
    expect(connections.open(end(5, serverSeen, { atMs: 33_000 }))).toBe(second)
  })

  it('meet by the client alone where the address of the server is translated, in either order', () => {
    const service = parseAddress('10.96.0.10')
    const key = { low: 0, high: 0 }
    connectionKey(client, 0, 5, service, 0, 443, 6, 0, key)
    const asked = end(5, clientSeen, { ...key, farAddr: service, farPort: 443, translated: true })
    for (const ends of [[asked, end(5, serverSeen)], [end(5, serverSeen), asked]]) {
      const connections = table()
      connections.open(end(6, serverSeen))
      const [slot, same] = ends.map((one) => connections.open(one))
      expect([same, connections.met]).toEqual([slot, true])
      const at = connections.columns.addressAt(slot)
      expect(connections.columns.serverAddr.slice(at, at + 16)).toEqual(server)
      for (const { low, high, side } of ends) expect(connections.find(low, high, side)).toBe(slot)
      expect(connections.open(end(5, serverSeen, { atMs: 2000 }))).not.toBe(slot)
    }
  })

  it('that are told again by an agent which starts again stay one', () => {
    const connections = table()
    const slot = connections.open(end(5, clientSeen))
    expect(connections.open(end(5, clientSeen, { atMs: 900_000, atStart: true }))).toBe(slot)
    expect(connections.open(end(5, serverSeen, { atMs: 950_000, atStart: true }))).toBe(slot)
  })

  it('keep the larger of the amounts that the two ends tell', () => {
    const connections = table()
    const slot = connections.open(end(5, clientSeen))
    connections.open(end(5, serverSeen))
    connections.close(slot, serverSeen, 1100, 9, 100)
    connections.close(slot, clientSeen, 1100, 10, 90)
    expect([connections.columns.bytesSent.get(slot), connections.columns.bytesReceived.get(slot)]).toEqual([10, 100])
  })

  it('leave some time after they closed, unless somebody refers to them', () => {
    const connections = table({ closedKeepMs: 100 })
    const slots = [1, 2, 3].map((port) => connections.open(end(port, clientSeen)))
    connections.hold(slots[1])
    for (const slot of slots.slice(0, 2)) connections.close(slot, clientSeen, 1, 0, 0)
    connections.nowMs = 99
    connections.advance()
    expect(connections.size).toBe(3)
    connections.nowMs = 100
    connections.advance()
    expect(connections.size).toBe(2)
    connections.release(slots[1], connections.columns.serial.get(slots[1]))
    connections.nowMs = 200
    connections.advance()
    expect([connections.size, connections.evictions]).toEqual([1, 0])
    expect(connections.find(end(3, clientSeen).low, end(3, clientSeen).high, clientSeen)).toBe(slots[2])
  })

  it('give way when there are too many, closed ones first, counted; who refers to them can tell', () => {
    const connections = table({ connectionsMax: 100 })
    const slots = Array.from({ length: 100 }, (_, port) => connections.open(end(port, clientSeen)))
    connections.close(slots[50], clientSeen, 1, 0, 0)
    const before = slots.map((slot) => connections.columns.serial.get(slot))
    connections.open(end(1000, clientSeen))
    connections.open(end(1001, clientSeen))
    expect(connections.evictions).toBe(2)
    const changed = slots.filter((slot, i) => connections.columns.serial.get(slot) !== before[i])
    expect(changed.sort((a, b) => a - b)).toEqual([slots[0], slots[50]])
    for (let port = 0; port < 5000; port++) connections.open(end(port, clientSeen))
    expect([connections.size, connections.columns.capacity]).toEqual([100, 100])
  })

  it('from one port of one client give way when there are too many, counted', () => {
    const connections = table()
    const key = { low: 77, high: 0 }
    const slots = Array.from({ length: 300 }, (_, high) => connections.open(end(5, clientSeen, { ...key, high })))
    expect([connections.size, connections.evictions]).toEqual([256, 44])
    expect([connections.find(77, 0, 0), connections.find(77, 299, 0)]).toEqual([-1, slots[299]])
    expect(connections.open(end(5, serverSeen, { ...key, high: 44 }))).toBe(slots[44])
  })

  it('go on from a snapshot', () => {
    const [first, second] = [1, 2].map(() => table({ connectionsMax: 300, closedKeepMs: 50 }))
    const step = (connections: Connections, i: number): number => {
      connections.nowMs = i
      const slot = connections.open(end(i * 7 % 400, i % 3 === 0 ? serverSeen : clientSeen, { atMs: i }))
      if (i % 4 === 0) connections.hold(slot)
      if (i % 2 === 0) connections.close(slot, i % 3 === 0 ? serverSeen : clientSeen, i, i, i)
      connections.advance()
      return slot
    }
    for (let i = 0; i < 1000; i++) step(first, i)
    second.restore(structuredClone(first.snapshot()))
    for (let i = 1000; i < 2000; i++) expect(step(second, i)).toBe(step(first, i))
    expect(second.snapshot()).toEqual(first.snapshot())
  })
})
