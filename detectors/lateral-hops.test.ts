// Ways of a chain that are no connections of a network: vsock, and exec into a container.
import { describe, expect, it } from 'vitest'
import type { ExampleEvent } from '../detect/detector.ts'
import { Engine } from '../detect/engine.ts'
import { batchesOf, eventsOf } from '../detect/example.ts'
import type { Incident } from '../detect/incident.ts'
import type { Process, VsockConnection } from '../proto/gen/events.ts'
import lateralChain from './lateral-chain.ts'
import { accepted, beat, exec, opened, policy as plain, started } from './lateral-sample.ts'

const policy = plain.replace('22/tcp, 6818/tcp', '22/tcp, 6818/tcp, 10250/tcp')

/** What is told, with a restart in the middle. */
function run(events: readonly ExampleEvent[]): Incident[] {
  let engine = new Engine({ detectors: [lateralChain] })
  batchesOf(eventsOf({ policy, events: [...events] })).forEach((batch, i) => {
    engine.ingest(batch, i)
    engine = Engine.restore(engine.snapshot(), { detectors: [lateralChain] })
  })
  return engine.incidents()
}

function way([incident]: readonly Incident[]) {
  return incident?.hops.map(({ from, to, protocol, link }) =>
    [from.node_id ?? from.address, from.pid, to.node_id, to.pid, protocol, link])
}

/** One end of a vsock connection: this one's id and port, and the other one's. */
function vsock(
  at_ms: number, node_id: string, process: Partial<Process>, local: [number, number], remote: [number, number],
  values: Partial<VsockConnection>,
): ExampleEvent {
  return {
    kind: 'vsock_connection', at_ms, node_id, process, values: {
      local_cid: local[0], local_port: local[1], remote_cid: remote[0], remote_port: remote[1],
      connection_id: BigInt(at_ms + 1), report: 'first', ...values,
    },
  }
}

const ANY = 0xffffffff
const server = started(100, -60_000, '/usr/bin/python3', null, 990)
const shell = started(101, 20, '/bin/sh', server, 990)
const entry = { from: '203.0.113.9', port: 50_000, to: '10.30.0.7', service: 8000 }
const fetch = { from: '10.20.0.5', port: 40_001, to: '10.50.0.9', service: 9000 }
const minio = started(77, -60_000, '/usr/bin/minio', null, 991)
const inGuest = [accepted(10, 'inf-1', server, entry), exec(20, 'inf-1', shell, 'sh', '-c', 'id')]
const out = { direction: 'outgoing' }
const calls = vsock(30, 'inf-1', shell, [ANY, 700_000], [2, 5000], out)
const helper = started(50, -60_000, '/usr/bin/vm-helper', null)
const bash = started(52, 80, '/bin/bash', helper)
const curl = started(53, 100, '/usr/bin/curl', bash)
const taken = vsock(35, 'train-1', helper, [2, 5000], [3, 700_000], { direction: 'accepted' })
const onHost = [
  exec(80, 'train-1', bash, 'bash'), exec(100, 'train-1', curl, 'curl'), opened(110, 'train-1', curl, fetch),
  accepted(112, 'store-1', minio, fetch),
]

describe('vsock in a chain', () => {
  const whole = [
    ['203.0.113.9', undefined, 'inf-1', 100, 'tcp', undefined],
    ['inf-1', 101, 'train-1', 50, 'vsock', 'descendant'],
    ['train-1', 53, 'store-1', 77, 'tcp', 'descendant'],
  ]

  it('leads from a guest to its host, whichever is heard first', () => {
    expect(way(run([...inGuest, calls, taken, ...onHost]))).toEqual(whole)
    expect(way(run([taken, ...onHost, ...inGuest, calls]))).toEqual(whole)
    expect(way(run([taken, ...onHost, beat(60_000, 'train-1'), ...inGuest, calls]))).toEqual(whole)
  })

  it('names the zone that the guest was reached in, and what passed', () => {
    const last = { report: 'last', bytes_sent: 10, bytes_received: 20 }
    const [incident] = run([...inGuest, calls, taken, ...onHost,
      vsock(200, 'inf-1', shell, [ANY, 700_000], [2, 5000], { ...out, ...last })])
    expect(incident.hops[1]).toMatchObject({
      from: { zone: 'inference', address: 'cid 3', port: 700_000 },
      to: { zone: 'training', address: 'cid 2', port: 5000 }, bytes_sent: 10, bytes_received: 20,
    })
  })

  it('is where a way begins when nobody watches the guest', () => {
    const host = [taken, ...onHost.slice(0, 2)].map((event) => ({ ...event, node_id: 'inf-2' }) as ExampleEvent)
    const reach = opened(110, 'inf-2', curl, { ...fetch, from: '10.30.0.8', service: 22 })
    const [incident] = run([...host, reach, beat(3000)])
    expect(way([incident])).toEqual([
      ['cid 3', undefined, 'inf-2', 50, 'vsock', undefined],
      ['inf-2', 53, undefined, undefined, 'tcp', 'descendant'],
    ])
    expect(incident.summary).toContain('cid 3:700000 → /usr/bin/vm-helper (pid 50')
  })

  it('is no hop when it was refused, and none between the loopbacks of two machines', () => {
    const refused = vsock(30, 'inf-1', shell, [ANY, 700_000], [2, 5000], { ...out, error: 111 })
    expect(run([...inGuest, refused, taken, ...onHost, beat(9000)])).toEqual([])
    const loops = [vsock(30, 'inf-1', shell, [ANY, 700_000], [1, 5000], out),
      vsock(35, 'train-1', helper, [1, 5000], [1, 700_000], { direction: 'accepted' })]
    expect(run([...inGuest, ...loops, ...onHost, beat(9000)])).toEqual([])
  })
})

describe('exec into a container in a chain', () => {
  const kubelet = started(60, -60_000, '/usr/bin/kubelet', null)
  const shim = started(61, -50_000, '/usr/bin/containerd-shim-runc-v2', null)
  const inPod = (pid: number, at: number, exe: string, parent: Partial<Process>): Partial<Process> =>
    ({ ...started(pid, at, exe, parent, 1000), cgroup_path: '/kubepods/pod1', workload: 'pod:6d83fd9f' })
  const main = inPod(62, -40_000, '/usr/bin/trainer', shim)
  const sent = inPod(63, 60, '/bin/sh', shim)
  const tool = inPod(64, 70, '/usr/bin/curl', sent)
  const ask = (from: string) => ({ from, port: 40_000, to: '10.20.0.5', service: 10_250 })
  const begun = [exec(-1000, 'train-1', shim, 'shim'), exec(-900, 'train-1', main, 'trainer')]
  const done = [
    exec(60, 'train-1', sent, 'sh'), exec(70, 'train-1', tool, 'curl'), opened(110, 'train-1', tool, fetch),
    accepted(112, 'store-1', minio, fetch),
  ]

  it('is told with the caller of kubelet, whom no flow allows', () => {
    const link = ask('10.30.0.7')
    const events = [...begun, ...inGuest, opened(45, 'inf-1', shell, link), accepted(50, 'train-1', kubelet, link)]
    const [incident] = run([...events, ...done])
    expect(way([incident])).toEqual([
      ['203.0.113.9', undefined, 'inf-1', 100, 'tcp', undefined],
      ['inf-1', 101, 'train-1', 60, 'tcp', 'descendant'],
      ['train-1', 60, 'train-1', 63, 'exec', 'same_process'],
      ['train-1', 64, 'store-1', 77, 'tcp', 'exec'],
    ])
    expect(incident.summary).toContain('then by exec through the container runtime, /usr/bin/kubelet (pid 60')
  })

  it('is told as the entry when nobody knows who asked', () => {
    const there = (events: ExampleEvent[]) => events.map((event) => ({ ...event, node_id: 'inf-1' }) as ExampleEvent)
    const forbidden = { ...fetch, from: '10.30.0.7', service: 22 }
    const [incident] = run(
      [...there([...begun, ...done.slice(0, 2)]), opened(110, 'inf-1', tool, forbidden), beat(3000)])
    expect(way([incident])).toEqual([
      ['inf-1', 61, 'inf-1', 63, 'exec', undefined], ['inf-1', 64, undefined, undefined, 'tcp', 'exec'],
    ])
  })

  it('is nothing when the API server asks, nor when kubelet starts a container', () => {
    const link = ask('10.40.0.10')
    const api = started(9, -60_000, '/usr/bin/kube-apiserver', null)
    const asked = [opened(45, 'orch-1', api, link), accepted(50, 'train-1', kubelet, link)]
    expect(run([...begun, ...asked, ...done, beat(3000)])).toEqual([])
    const fromOutside = ask('10.30.0.7')
    const events = [...inGuest, opened(45, 'inf-1', shell, fromOutside), accepted(50, 'train-1', kubelet, fromOutside)]
    expect(way(run([...events, ...done]))).not.toContainEqual(expect.arrayContaining(['exec']))
  })
})
