import { describe, expect, it } from 'vitest'
import type { ExampleEvent } from '../../detect/detector.ts'
import { eventsOf } from '../../detect/example.ts'
import { parsePolicy } from '../../policy/parse.ts'
import { learnPolicy } from './learn.ts'
import type { LearnOptions } from './learn.ts'
import { framesOf } from './sample-cluster.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const STORES = `stores:
  - name: llm
    kind: weights
    sensitivity: restricted
    paths: [/models/llm]
  - { name: corpus, kind: dataset, sensitivity: confidential, mounts: ["filer:/export/**"] }
`
const POLICY = `version: 1\n${STORES}`

type Who = NonNullable<ExampleEvent['process']>
let pids = 100
const unit = (name: string, exe = `/opt/${name}/bin/run`): Who => ({ pid: ++pids, start_time: 1n, ppid: 1, exe,
  comm: name, workload: `${name}.service`, cgroup_path: `/system.slice/${name}.service`, cgroup_id: BigInt(pids) })
const session = (exe: string): Who => ({ pid: ++pids, start_time: 1n, exe, comm: 'x', cgroup_id: BigInt(pids),
  cgroup_path: '/user.slice/user-1000.slice/session-3.scope' })
const read = (at_ms: number, process: Who, store: string, mib = 10, files = 5): ExampleEvent => ({ kind: 'store_read',
  at_ms, process, node_id: 'n', values: { store, mechanism: 'read', bytes: mib * 2 ** 20, files_distinct: files,
    report: 'periodic', path: '/x', duration_ns: 5e9 } })
const write = (at_ms: number, process: Who, store: string, operation = 'create', count = 1): ExampleEvent => ({
  kind: 'store_write', at_ms, process, node_id: 'n',
  values: { store, operation, count, path: '/models/llm/a.bin' } } as ExampleEvent)
/** Every day, so many reports an hour apart. */
const daily = (days: number, times: number, make: (at_ms: number) => ExampleEvent): ExampleEvent[] =>
  Array.from({ length: days * times }, (_, i) => make(Math.floor(i / times) * DAY_MS + (i % times) * HOUR_MS))

const learn = (events: ExampleEvent[], options: Partial<LearnOptions> = {}) => learnPolicy(
  framesOf(options.policy === undefined ? eventsOf({ policy: POLICY, events }) : events),
  { fromMs: -Infinity, toMs: Infinity, connectionsMin: 2, ...options })
const storeOf = ({ text }: { text: string }, name: string) => {
  const { policy, problems } = parsePolicy(text)
  expect(problems).toEqual([])
  return policy!.stores.find((one) => one.name === name)!
}
const base = (text: string) => ({ policy: parsePolicy(text).policy! })

const serving = unit('vllm')
const pipeline = unit('publish')
const ordinary = [
  ...daily(8, 16, (at) => read(at, serving, 'llm', 100, 150)),
  ...daily(8, 4, (at) => write(at, pipeline, 'llm')),
]

describe('stores are learned', () => {
  it('with readers, writers, and a bound four times what is usual of a day', () => {
    const llm = storeOf(learn(ordinary), 'llm')
    expect(llm.readers!.match.systemd_units.map(({ text }) => text)).toEqual(['vllm.service'])
    expect(llm.writers!.match.systemd_units.map(({ text }) => text)).toEqual(['publish.service'])
    expect(llm.expected).toEqual({ bytesPerDay: 4 * 2 ** 31, files: 150 })
  })

  it('by service account, application or namespace of pods, and by user of jobs', () => {
    const pod = (namespace: string, facts: object, number: number): ExampleEvent[] => {
      const who: Who = { pid: 1000 + number, start_time: 1n, exe: '/usr/bin/python3', cgroup_id: BigInt(9000 + number),
        cgroup_path: `/kubepods.slice/pod${number}` }
      return [{ kind: 'workload_seen', at_ms: 0, node_id: 'n', values: { cgroup_id: who.cgroup_id, namespace,
        pod_uid: namespace === '' ? '' : `uid${number}`, facts_source: 'kubernetes', ...facts } },
      ...daily(2, 3, (at) => read(at + 1, who, 'corpus'))]
    }
    const events = [
      ...pod('team-a', { service_account: 'trainer' }, 1), ...pod('team-b', { labels: ['app=etl'] }, 2),
      ...pod('team-c', { service_account: 'default' }, 3),
      ...pod('', { facts_source: 'slurm', slurm_user: 'alice', slurm_partition: 'gpu', slurm_job: '7' }, 4),
      ...Array.from({ length: 7 }, (_, i) => pod('many', { service_account: `sa${i}` }, 10 + i)).flat(),
    ]
    const { match } = storeOf(learn(events), 'corpus').readers!
    expect(Object.fromEntries(Object.entries(match).flatMap(([key, all]) => all.length === 0 ? []
      : [[key, all.map(({ text }) => text)]]))).toEqual({ service_accounts: ['team-a/trainer'],
      labels: ['kubernetes.io/metadata.name=team-b,app=etl'], namespaces: ['many', 'team-c'], slurm_users: ['alice'] })
  })

  it('not of login sessions, of tools, of what happened once, nor of what was part of an incident', () => {
    const shell = session('/usr/bin/rsync')
    const once = unit('once')
    const thief = unit('thief')
    const events = [...ordinary, ...daily(3, 3, (at) => read(at, shell, 'corpus')), read(DAY_MS, once, 'corpus'),
      ...daily(2, 3, (at) => read(at + 7, thief, 'corpus')),
      ...daily(2, 3, (at) => read(at + 9, unit('tool', '/bin/tar'), 'corpus'))]
    const learned = learn(events, { incidentOf: (event) => event.node_id === 'n'
      && processOf(events, event.seq) === thief ? 'abc' : '' })
    expect(learned.stores.refused.map(({ refusal, seen }) => `${refusal} ${seen.programs.join()}`).sort()).toEqual([
      'by_hand /usr/bin/rsync', 'rare /opt/once/bin/run', 'suspected /opt/thief/bin/run'])
    expect(learned.text).toContain('Part of what incident abc tells.')
    expect(learned.text).toMatch(/finds STO-00\d/)
  })

  it('never with a writer that a finding about changes concerns', () => {
    const intruder = unit('cron')
    const late = 8 * DAY_MS
    const events = [...ordinary, ...daily(1, 3, (at) => write(late + at, intruder, 'llm', 'modify')),
      ...daily(1, 3, (at) => write(late + DAY_MS + at, intruder, 'llm', 'modify'))]
    const learned = learn(events)
    expect(storeOf(learned, 'llm').writers!.match.systemd_units.map(({ text }) => text)).toEqual(['publish.service'])
    expect(learned.stores.refused).toMatchObject([{ list: 'writers', refusal: 'suspected', suspected: ['STO-009'] }])
  })

  it('into a policy only where it says nothing; whom its lists leave out is told', () => {
    const text = POLICY.replace('paths: [/models/llm]',
      'paths: [/models/llm]\n    readers: { systemd_units: [other.service] }')
    const learned = learn([...ordinary, ...daily(8, 3, (at) => read(at, serving, 'corpus'))], base(text))
    const llm = storeOf(learned, 'llm')
    expect(llm.readers!.match.systemd_units.map(({ text: one }) => one)).toEqual(['other.service'])
    expect(llm.writers!.match.systemd_units).toHaveLength(1)
    expect(learned.stores.refused).toMatchObject([{ store: 'llm', list: 'readers', refusal: 'unlisted' }])
    // An entry in { } has no room: what it should say stands above it.
    expect(learned.text).toMatch(/^ {2}# readers:\n.*\n.*\n(?: {2}# .*\n)*? {2}# +systemd_units: \[vllm\.service\]$/m)
    expect(storeOf(learned, 'corpus').readers).toBeNull()
  })

  it('with a bound as a comment only while too little was seen', () => {
    const learned = learn(daily(2, 3, (at) => read(at, serving, 'llm')))
    expect(storeOf(learned, 'llm').expected.bytesPerDay).toBeNull()
    expect(learned.text).toMatch(/^ {4}# expected: \{ bytes_per_day: 128 MiB \}$/m)
    expect(learned.text).toContain('too little to go by')
  })
})

describe('stores that no policy names', () => {
  const received = (at_ms: number, remote_addr: string, remote_port: number, mib: number): ExampleEvent => ({
    kind: 'connection_close', at_ms, node_id: 'n', process: serving, values: { local_addr: '10.0.0.1', remote_addr,
      remote_port, local_port: 4000, direction: 'outgoing', protocol: 'tcp', bytes_received: mib * 2 ** 20,
      connection_id: BigInt(at_ms + remote_port) } })

  it('are guessed by port, name and bytes, as comments alone', () => {
    const name: ExampleEvent = { kind: 'dns_answer', at_ms: 0, node_id: 'n',
      values: { name: 'data.s3.eu-west-1.amazonaws.com', addresses: ['192.0.2.7'] } }
    const learned = learn([name, received(1, '10.0.0.9', 5432, 500), received(2, '10.0.0.8', 5432, 1),
      received(3, '192.0.2.7', 443, 90), received(4, '10.0.0.7', 443, 900), received(5, '10.0.0.6', 2049, 100)],
    base(POLICY))
    expect(learned.stores.candidates.map(({ name: one, lines }) => `${one} ${lines.at(-1)!.trim()}`)).toEqual([
      'postgresql endpoints: ["10.0.0.9:5432"]', 'nfs mounts: ["10.0.0.6:/**"]',
      'objects endpoints: ["data.s3.eu-west-1.amazonaws.com:443"]'])
    expect(learned.text).toContain('# Candidates for stores: 3 guesses')
    expect(parsePolicy(learned.text).policy!.stores).toHaveLength(2)
    for (const { lines } of learned.stores.candidates) {
      expect(parsePolicy(`version: 1\nstores:\n${lines.join('\n')}\n`).problems).toEqual([])
    }
  })

  it('are told when an earlier policy had them and an agent watched them since', () => {
    const seen: ExampleEvent = { kind: 'store_seen', at_ms: 5, node_id: 'n',
      values: { store: 'corpus', state: 'watched', path: '/mnt/corpus', fs_type: 'nfs4',
        mount_source: 'filer:/export/corpus' } }
    const learned = learnPolicy(framesOf(eventsOf({ policy: POLICY, events: [seen, ...ordinary] })),
      { fromMs: -Infinity, toMs: Infinity, connectionsMin: 2,
        ...base(POLICY.replace(/ {2}- \{ name: corpus.*\n/, '')) })
    expect(learned.stores.candidates).toMatchObject([{ name: 'corpus', guess: 'a store of an earlier policy' }])
  })
})

/** The process of an event of node n, by its number there. */
function processOf(events: ExampleEvent[], seq: number): unknown {
  return events.toSorted((a, b) => a.at_ms - b.at_ms)[seq - 1]?.process
}
