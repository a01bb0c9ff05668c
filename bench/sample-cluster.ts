// A cluster as the chain engine sees it: 100 nodes with 1000 processes each, which connect to one
// another; the same numbers in every run. Both ends of a connection are told, by their own nodes.
//
// Training ranks talk to each other, model servers and ranks read from storage, the outside asks
// model servers; one process of ten is a worker below a server, one of a thousand a shell. One
// connection of 100,000 goes from a model server to a rank, which no flow allows.

import { BatchBuilder } from '../proto/batch-builder.ts'
import { recordBuffer } from '../proto/columns.ts'
import type { RecordBuffer } from '../proto/columns.ts'
import { kindInfos, recordHeader, recordOffsets } from '../proto/gen/events.ts'

const planes: [name: string, exposure: string, nodes: number][] = [
  ['inference', 'public', 10], ['training', 'protected', 60], ['storage', 'protected', 10],
  ['ingestion', 'internal', 10], ['orchestration', 'internal', 10],
]
const processesPerNode = 1000
const eventsPerBatch = 8192
const bootNs = 3_600_000_000_000
/** Between two events of the cluster. */
const stepNs = 5000

export const clusterPolicy = [
  'version: 1', 'zones:',
  ...planes.map(([name, exposure], i) =>
    `  - { name: ${name}, exposure: ${exposure}, match: { cidrs: [10.${i + 1}.0.0/16] } }`),
  'flows:',
  '  - { from: external, to: inference, ports: [any], reason: bench }',
  ...['inference', 'training', 'ingestion'].map((from) =>
    `  - { from: ${from}, to: storage, ports: [any], reason: bench }`),
  ...['inference', 'training', 'ingestion', 'storage'].map((to) =>
    `  - { from: orchestration, to: ${to}, ports: [any], reason: bench }`),
].join('\n')

const nodePlanes = planes.flatMap(([, , nodes], plane) => Array<number>(nodes).fill(plane))

/** Numbers below a bound; xorshift. */
function random(seed: number): (below: number) => number {
  let state = seed | 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

/** Bits of what is pending on a node: the end, and whether it opens or closes. */
const SERVER = 1
const CLOSES = 2
const OUTSIDE = 255

const kindNumber = (kind: string): number => kindInfos.find((info) => info.kind === kind)!.number

export class SampleCluster {
  readonly #next = random(7)
  readonly #builder = new BatchBuilder({ eventsMax: 1_000_000, factsOf })
  readonly #record = recordBuffer(new ArrayBuffer(1024))
  readonly #view = new DataView(this.#record.u8.buffer)
  /** Connections by number: nodes and processes of the two ends. */
  readonly #clients: Uint32Array
  readonly #servers: Uint32Array
  readonly #clientNodes: Uint8Array
  readonly #serverNodes: Uint8Array
  /** By node: four times the number of a connection, and the bits above; and the time. */
  readonly #pending = nodePlanes.map(() => [] as number[])
  readonly #seqs = nodePlanes.map(() => 1)
  #made = 0
  #oldest = 0
  #atNs = bootNs

  /** @param connectionsMax most connections that will ever be made */
  constructor(connectionsMax: number) {
    this.#clients = new Uint32Array(connectionsMax)
    this.#servers = new Uint32Array(connectionsMax)
    this.#clientNodes = new Uint8Array(connectionsMax)
    this.#serverNodes = new Uint8Array(connectionsMax)
  }

  /** Encoded batches with the ends of `opens` new connections, and of as many old ones if asked. */
  batches(opens: number, replace: boolean): Buffer[] {
    const batches: Buffer[] = []
    const flush = (eventsMin: number): void => this.#pending.forEach((events, node) => {
      if (events.length >= 2 * eventsMin) batches.push(this.#batch(node))
    })
    for (let i = 0; i < opens; i++) {
      if (replace) this.#tell(this.#oldest++, CLOSES)
      this.#open()
      if (i % 1000 === 999) flush(eventsPerBatch)
    }
    flush(1)
    return batches
  }

  #open(): void {
    const next = this.#next
    const number = this.#made++
    const from = this.#clientNode()
    const plane = nodePlanes[from]
    const astray = next(100_000) === 0
    const to = astray || (plane === 1 && next(6) > 0) ? 10 + next(60)
      : plane === 4 ? next(70) : 70 + next(10)
    // One of twenty comes from outside: only its accepting end is watched.
    const outside = next(20) === 0
    this.#clientNodes[number] = outside ? OUTSIDE : from
    this.#serverNodes[number] = outside ? next(10) : to
    this.#clients[number] = next(processesPerNode)
    this.#servers[number] = next(processesPerNode)
    this.#tell(number, 0)
  }

  #clientNode(): number {
    const kind = this.#next(20)
    return kind < 12 ? 10 + this.#next(60) : kind < 17 ? this.#next(10) : 80 + this.#next(20)
  }

  #tell(number: number, bits: number): void {
    const client = this.#clientNodes[number]
    this.#atNs += stepNs
    if (client !== OUTSIDE) this.#pending[client].push(4 * number + bits, this.#atNs)
    this.#pending[this.#serverNodes[number]].push(4 * number + bits + SERVER, this.#atNs + 100)
  }

  #batch(node: number): Buffer {
    const events = this.#pending[node]
    for (let i = 0; i < events.length; i += 2) {
      this.#write(Math.floor(events[i] / 4), events[i] & 3, events[i + 1])
      this.#builder.appendRecord(this.#record, 0)
    }
    const first_seq = this.#seqs[node]
    this.#seqs[node] += events.length / 2
    this.#pending[node] = []
    return this.#builder.encode({
      node_id: `node-${node}`, boot_id: '0123456789abcdef0123456789abcdef', first_seq,
      clock_offset_ns: 1_790_000_000_000_000_000n + BigInt(node % 5) * 500_000_000n,
    })
  }

  #write(number: number, bits: number, timeNs: number): void {
    const view = this.#view
    const isServer = (bits & SERVER) !== 0
    const kind = (bits & CLOSES) === 0 ? 'connection_open' : 'connection_close'
    const at = recordOffsets[kind]
    const service = 9000 + this.#servers[number] % 8
    const port = 1024 + number % 60_000
    this.#record.u8.fill(0, 0, 256)
    view.setUint16(recordHeader.kind, kindNumbers[kind], true)
    setTime(view, recordHeader.time, timeNs)
    this.#identity(isServer ? this.#servers[number] : this.#clients[number])
    view.setUint8(at.protocol, 6)
    view.setUint8(at.direction, isServer ? 2 : 1)
    view.setUint16(at.local_port, isServer ? service : port, true)
    view.setUint16(at.remote_port, isServer ? port : service, true)
    this.#address(isServer ? at.remote_addr : at.local_addr, this.#clientNodes[number], number)
    this.#address(isServer ? at.local_addr : at.remote_addr, this.#serverNodes[number], number)
  }

  /** One of ten is a child of the one before it, and started when that one had connections. */
  #identity(process: number): void {
    const view = this.#view
    const pid = 1000 + process
    const isChild = process % 10 === 9
    view.setUint32(recordHeader.pid, pid, true)
    view.setUint32(recordHeader.ppid, isChild ? pid - 1 : 1, true)
    setTime(view, recordHeader.start_time, isChild ? bootNs + 2e9 : startNs + process)
    setTime(view, recordHeader.parent_start_time, isChild ? startNs + process - 1 : 1)
    view.setUint32(recordHeader.uid, 1000, true)
    view.setUint32(recordHeader.cgroup_id, 7000 + process % 8, true)
  }

  #address(at: number, node: number, number: number): void {
    const { u8 } = this.#record
    u8[at + 10] = u8[at + 11] = 0xff
    if (node === OUTSIDE) u8.set([203, 0, number & 255, 1 + number % 250], at + 12)
    else u8.set([10, nodePlanes[node] + 1, 0, node + 1], at + 12)
  }
}

const startNs = bootNs - 1e9
const kindNumbers = {
  connection_open: kindNumber('connection_open'), connection_close: kindNumber('connection_close'),
}

function factsOf(record: RecordBuffer): { exe: string, cgroup_path: string, workload: string } {
  const isShell = (record.u32[recordHeader.pid >> 2] - 1000) % 1000 === 999
  const exe = isShell ? '/bin/bash' : '/opt/model/bin/worker'
  return { exe, workload: exe, cgroup_path: '/system.slice/model.service' }
}

/** Up to 2^53. */
function setTime(view: DataView, at: number, ns: number): void {
  view.setUint32(at, ns % 4294967296, true)
  view.setUint32(at + 4, Math.floor(ns / 4294967296), true)
}
