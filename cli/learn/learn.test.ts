import { describe, expect, it } from 'vitest'
import type { ExampleEvent } from '../../detect/detector.ts'
import { encodeEvents } from '../../detect/example.ts'
import { parsePolicy } from '../../policy/parse.ts'
import { Crossings } from './crossings.ts'
import { learnPolicy } from './learn.ts'
import type { LearnOptions } from './learn.ts'
import { extentOf, judge } from './range.ts'
import { benignHour, call, framesOf, NODES } from './sample-cluster.ts'

const learn = (events: ExampleEvent[], options: Partial<LearnOptions> = {}) => learnPolicy(
  framesOf(events), { fromMs: -Infinity, toMs: Infinity, connectionsMin: 2, ...options })

/** What violates a policy, such as `inference > training 22 /usr/bin/ssh`. */
function violations(events: ExampleEvent[], text: string): string[] {
  const frames = framesOf(events)
  const extent = extentOf(frames, -Infinity, Infinity)
  const crossings = new Crossings(extent)
  judge(frames, parsePolicy(text).policy!, crossings, extent)
  return crossings.edges().map(({ from, to, port, exe, connections }) =>
    `${connections} ${from} > ${to} ${port} ${exe}`.trim())
}

const { inference, training1, storage, control } = NODES
const lateral = (at_ms: number): ExampleEvent[] => [
  ...call({ from: inference, to: training1, port: 22, exe: '/usr/bin/ssh', at_ms }),
  ...call({ from: training1, to: storage, port: 9000, exe: '/usr/bin/curl', at_ms: at_ms + 1000 }),
]

describe('a policy learned on benign work', () => {
  const learned = learn(benignHour())

  it('is one, and says of itself that it fits', () => {
    const { policy, problems } = parsePolicy(learned.text)
    expect(problems).toEqual([])
    expect(policy!.zones.map(({ name }) => name)).toEqual(['clients-ssh', 'control', 'inference',
      'ingestion', 'servers-nfs', 'storage', 'training'])
    expect(learned).toMatchObject({ violations: 0, refused: [], lost: [], nodes: 6 })
  })

  it('leaves nobody out for a service account that it does not have', () => {
    const text = 'version: 1\nzones:\n  - name: pods\n    exposure: internal\n'
      + '    match: { service_accounts: ["*/*"] }\n'
    const { zones } = learn(benignHour(), { policy: parsePolicy(text).policy! })
    expect(zones.map(({ name }) => name)).toEqual(learned.zones.map(({ name }) => name))
  })

  it('says who is exposed', () => {
    const exposures = Object.fromEntries(
      learned.zones.map(({ name, exposure }) => [name, exposure]))
    expect(exposures).toMatchObject({ inference: 'public', 'clients-ssh': 'public',
      control: 'internal', storage: 'protected', training: 'protected' })
  })

  it('raises nothing on the same kind of work', () => {
    expect(violations(benignHour(), learned.text)).toEqual([])
    const shifted = benignHour().map((event) => ({ ...event, at_ms: event.at_ms + 86_400_000 }))
    expect(violations(shifted, learned.text)).toEqual([])
  })

  it('is violated by a lateral movement, also where the service itself is allowed', () => {
    expect(violations([...benignHour(), ...lateral(60_500)], learned.text)).toEqual([
      '1 inference > training 22 /usr/bin/ssh', '1 training > storage 9000 /usr/bin/curl'])
  })

  it('is the same text for the same log', () => {
    expect(learn(benignHour()).text.replaceAll(/event \d+/g, ''))
      .toBe(learned.text.replaceAll(/event \d+/g, ''))
    const frames = framesOf(benignHour())
    const options = { fromMs: -Infinity, toMs: Infinity, connectionsMin: 2 }
    expect(learnPolicy(frames, options).text).toBe(learnPolicy(frames, options).text)
  })
})

describe('what an attacker did in the range', () => {
  it('is listed and not proposed', () => {
    const events = [...benignHour(), ...lateral(60_500)]
    const { text, refused, violations: count } = learn(events)
    expect(refused.map(({ from, to, refusal }) => `${from} ${to} ${refusal}`))
      .toEqual(['inference training rare', 'training storage rare'])
    expect(count).toBe(2)
    expect(violations(events, text)).toHaveLength(2)
  })

  it('is listed however often it happened, when it is part of an incident', () => {
    const events = [...benignHour(), ...[5, 20, 40].flatMap((minute) => lateral(minute * 60_000))]
    const frames = framesOf(events)
    const options = { fromMs: -Infinity, toMs: Infinity, connectionsMin: 2 }
    const careless = learnPolicy(frames, options)
    expect(careless.refused).toEqual([])
    const known = new Set(careless.flows.filter(({ ports }) => ports.includes('22/tcp'))
      .map(({ example }) => JSON.stringify(example)))
    expect(known.size).toBe(2)
    const warned = learnPolicy(frames, { ...options, incidentOf: (event) =>
      event.node_id === 'inference-1' && known.has(JSON.stringify(event)) ? 'abc123' : '' })
    expect(warned.refused).toMatchObject([{ refusal: 'incident', incident: 'abc123' }])
  })
})

describe('a range', () => {
  it('counts what is in it, with the facts from before it', () => {
    const bootMs = Date.UTC(2030, 0, 1)
    const group: ExampleEvent = { kind: 'node_seen', at_ms: 0, node_id: storage.node_id,
      values: { node_group: 'vault', addresses: [storage.address] } }
    const { text, extent } = learn([group, ...benignHour()],
      { fromMs: bootMs + 1_800_000, toMs: bootMs + 3_000_000 })
    expect(extent).toMatchObject({ fromMs: bootMs + 1_800_000, toMs: bootMs + 3_000_000 })
    expect(text).toContain('node_groups: [vault]')
    expect(text).toContain('00:30:00 to 00:50:00 UTC')
  })

  it('that holds nothing is said to be so', () => {
    expect(() => learn(benignHour(), { toMs: 0 })).toThrow('holds nothing of this range')
    expect(() => learn([])).toThrow('holds nothing of this range')
  })

  it('without connections gives a policy that only learns', () => {
    const { text, zones } = learn([{ kind: 'heartbeat', at_ms: 0, values: {} }])
    expect(zones).toEqual([])
    expect(parsePolicy(text).problems).toEqual([])
  })
})

describe('what is not told one by one', () => {
  it('counts as often as it was counted: datagrams, repeats, pings', () => {
    const process = { pid: 7, start_time: 7n, exe: '/usr/bin/app', comm: 'app' }
    const { training1, storage: store } = NODES
    const values = { local_addr: training1.address, remote_addr: store.address,
      direction: 'outgoing', local_port: 40_000 }
    const flow = (at_ms: number, more: object): ExampleEvent => ({ kind: 'datagram_flow', at_ms,
      node_id: training1.node_id, process, values: { ...values, report: 'first', ...more } })
    const events: ExampleEvent[] = [0, 10, 20, 50].flatMap((minute) => [
      flow(minute * 60_000, { protocol: 'udp', remote_port: 123, local_port: 40_000 + minute }),
      flow(minute * 60_000 + 1, { protocol: 'icmp', remote_port: 0, local_port: 0,
        connection_id: BigInt(minute) }),
      { kind: 'connection_repeat', at_ms: minute * 60_000 + 2, node_id: training1.node_id, process,
        values: { ...values, protocol: 'tcp', remote_port: 9009, local_port: 0, opened: 500,
          bytes_sent: 5000 } },
    ])
    const learned = learn([...benignHour(), ...events])
    const from = learned.flows.filter(({ executables }) => executables[0] === '/usr/bin/app')
    expect(from.map(({ to, ports }) => `${to} ${ports.join(' ')}`))
      .toEqual(['storage any/icmp 9009/tcp 123/udp'])
    expect(from[0].connections).toBeGreaterThanOrEqual(2000)
    expect(learned.violations).toBe(0)
  })
})

describe('the opening program', () => {
  const minutes = [5, 25, 45]

  it('is the one that it was then, though the process runs another one soon after', () => {
    const events = minutes.flatMap((minute): ExampleEvent[] => {
      const at_ms = minute * 60_000
      const process = { pid: 77, start_time: BigInt(minute) }
      const opened = call({ from: inference, to: training1, port: 8080, exe: '/usr/bin/first', at_ms,
        lasts_ms: 60_000, process })
      return [...opened, { kind: 'process_exec', at_ms: at_ms + 1, node_id: inference.node_id,
        process: { ...process, exe: '/usr/bin/second', comm: 'second' },
        values: { exe: '/usr/bin/second' } }]
    })
    const learned = learn([...benignHour(), ...events])
    expect(learned.flows.find(({ ports }) => ports.includes('8080/tcp')))
      .toMatchObject({ executables: ['/usr/bin/first'], connections: 3 })
  })

  it('is learned when the opening end is told long after the accepting one', () => {
    const events = minutes.flatMap((minute) =>
      call({ from: inference, to: training1, port: 8080, exe: '/usr/bin/app', at_ms: minute * 60_000 }))
    const late = events.filter(({ node_id }) => node_id === inference.node_id)
    const early = [...benignHour(), ...events.filter((one) => !late.includes(one))]
    const ordered = early.toSorted((a, b) => a.at_ms - b.at_ms)
    // The opening end arrives twenty seconds later, with the times at which it happened.
    const arrivals = ordered.map((event) => ({ event, at: event.at_ms }))
      .concat(late.map((event) => ({ event, at: event.at_ms + 20_000 })))
      .toSorted((a, b) => a.at - b.at).map(({ event }) => event)
    const frames = encodeEvents(arrivals).map((payload, i) => ({ position: i + 1, payload }))
    const learned = learnPolicy(() => frames,
      { fromMs: -Infinity, toMs: Infinity, connectionsMin: 2 })
    expect(learned.flows.find(({ ports }) => ports.includes('8080/tcp')))
      .toMatchObject({ executables: ['/usr/bin/app'], connections: 3 })
    expect(learned.violations).toBe(0)
  })
})

describe('connections that stand', () => {
  const uplinks = (lasts_ms: number): ExampleEvent[] => [training1, NODES.training2].flatMap((from) =>
    call({ from, to: control, port: 7411, exe: '/usr/bin/agent', at_ms: 1000, lasts_ms }))
  const refusals = (events: ExampleEvent[]): string[] =>
    learn([...benignHour(), ...events]).refused.map(({ refusal }) => refusal)

  it('are there all the time, not only when they are opened', () => {
    expect(refusals(uplinks(1000))).toEqual(['one_moment'])
    expect(refusals(uplinks(3_000_000))).toEqual([])
    expect(refusals(uplinks(0).filter(({ kind }) => kind === 'connection_open'))).toEqual([])
  })

  it('are left to a person when there was only one', () => {
    expect(refusals(uplinks(3_000_000).slice(0, 4))).toEqual(['rare'])
  })
})

describe('with a policy to begin with', () => {
  it('only what it misses is added', () => {
    const whole = learn(benignHour()).text
    const { policy } = parsePolicy(whole)
    const more = [...benignHour(), ...[10, 30, 50].flatMap((minute) =>
      call({ from: control, to: training1, port: 22, exe: '/usr/bin/ssh', at_ms: minute * 60_000 }))]
    const again = learn(more, { policy: policy! })
    expect(again.zones).toEqual([])
    expect(again.flows).toMatchObject([{ from: 'control', to: 'training', ports: ['22/tcp'] }])
    expect(parsePolicy(again.text).policy!.flows).toHaveLength(policy!.flows.length + 1)
    expect(violations(more, again.text)).toEqual([])
  })

  it('that says all already, nothing is', () => {
    const { policy } = parsePolicy(learn(benignHour()).text)
    expect(learn(benignHour(), { policy: policy! })).toMatchObject({ zones: [], flows: [] })
  })

  it('that has no place for more, it says what to change', () => {
    const { policy } = parsePolicy('version: 1\nzones: []\n')
    expect(() => learn(benignHour(), { policy: policy! })).toThrow('with a dash for each entry')
  })
})

it('kinds of connections beyond the bound are counted, and the text says so', () => {
  const { lost, text } = learn(benignHour(), { edgesMax: 3, membersMax: 5 })
  expect(lost).toHaveLength(2)
  expect(text).toContain('# Not complete: ')
  expect(parsePolicy(text).problems).toEqual([])
})
