import { describe, expect, it } from 'vitest'
import { kindInfos } from '../../proto/gen/events.ts'
import { parseAddress } from '../../proto/address.ts'
import { batchesOf } from '../example.ts'
import type { ExampleEvent } from '../detector.ts'
import { Lineage } from '../lineage.ts'
import { AHEAD } from './ahead.ts'
import { Graph } from './graph.ts'
import { connectionKey } from './keys.ts'

const client = { pid: 10, start_time: 1n, exe: '/bin/client' }
const server = { pid: 20, start_time: 2n, exe: '/bin/server' }

/** Ends that open and close, and what is no connection between them. */
function ends(count: number): ExampleEvent[] {
  return Array.from({ length: count }, (_, i): ExampleEvent => {
    const kind = (['connection_open', 'process_exec', 'connection_close'] as const)[i % 3]
    if (kind === 'process_exec') return { kind, at_ms: i, process: client, values: {} }
    const accepted = i % 2 === 1
    const [near, far] = accepted ? ['10.0.0.2', '10.0.0.1'] : ['10.0.0.1', '10.0.0.2']
    return {
      kind, at_ms: i, process: accepted ? server : client,
      values: {
        protocol: 'tcp', direction: accepted ? 'accepted' : 'outgoing',
        local_addr: near, remote_addr: far,
        local_port: accepted ? 80 : 1000 + i, remote_port: accepted ? 1000 + i : 80,
      },
    }
  })
}

describe('a look ahead', () => {
  it('knows the key of every event that opens or closes a connection', () => {
    const graph = new Graph(new Lineage())
    const [batch] = batchesOf(ends(3 * AHEAD + 5))
    const rows = new Uint32Array(256)
    const found: object[] = []
    const wanted: object[] = []
    const [from, to] = ['10.0.0.1', '10.0.0.2'].map(parseAddress)
    for (let index = 0; index < batch.kinds.length; index++) {
      if (index % AHEAD === 0) graph.ahead.look(batch, 1, index, rows, [])
      rows[batch.kinds[index]]++
      if (index % 3 === 1) continue
      const [key, other] = [{ low: 0, high: 0 }, { low: 0, high: 0 }]
      graph.ahead.keyOf(index, key)
      connectionKey(from, 0, 1000 + index, to, 0, 80, 6, 0, other)
      found.push(key)
      wanted.push(other)
    }
    expect(found).toEqual(wanted)
    expect(found.length).toBeGreaterThan(2 * AHEAD)
  })

  it('changes nothing', () => {
    const graph = new Graph(new Lineage())
    const before = graph.snapshot()
    const [batch] = batchesOf(ends(AHEAD))
    graph.ahead.look(batch, 1, 0, new Uint32Array(256), [])
    expect(graph.snapshot()).toEqual(before)
  })

  it('finds nothing to do in a batch without connections', () => {
    const graph = new Graph(new Lineage())
    const [batch] = batchesOf(ends(AHEAD).filter(({ kind }) => kind === 'process_exec'))
    graph.ahead.look(batch, 1, 0, new Uint32Array(256), [])
    expect(batch.kinds[0]).toBe(kindInfos.find(({ kind }) => kind === 'process_exec')!.number)
    expect(graph.ahead.seen).toBe(0)
  })
})
