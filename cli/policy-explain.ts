import { compilePolicy } from '../policy/compile.ts'
import { explainConnection } from '../policy/explain.ts'
import { explainAccess, explainEndpoints, storeBehind } from '../policy/explain-store.ts'
import type { StoreAction } from '../policy/explain-store.ts'
import { suggest } from '../policy/read/suggest.ts'
import type { CommandSpec, ExitCode } from './command.ts'
import { CliError } from './errors.ts'
import { accessJson, accessLines, endpointLines, endpointsJson } from './explain/access-text.ts'
import { isOfFiles } from '../policy/match/store-rules.ts'
import { END_FORMS, parseEnd, parseTarget } from './explain/ends.ts'
import { explainEvents } from './explain/events.ts'
import { timeOfEvent } from './explain/locate.ts'
import type { ExplainedEvent, ExplainedProcess, Wanted } from './explain/events.ts'
import { explanationJson, explanationLines } from './explain/text.ts'
import { incidentById } from './incidents.ts'
import { streamFrames } from './learn/source.ts'
import { printLines, say, screenWidth } from './output.ts'
import { POLICY_FILE, readPolicy } from './policy-file.ts'
import type { Values } from './settings.ts'

/** Events of one incident that are explained. */
const EVENTS_MAX = 32
/** Who was who is read from so long before; names and policies from further back. */
const BEFORE_MS = 3_600_000
/** The log is read so far behind: other ends come late. */
const BEHIND_MS = 60_000

/** `vedette policy explain`. */
export const explain: CommandSpec = {
  name: 'explain',
  argument: '[what]',
  argumentHelp: 'an event of the log (NODE:BOOT:SEQ or NODE:SEQ) or the id of an incident',
  summary: 'says why a connection or a read is or is not allowed, by which lines of the policy',
  examples: [
    'vedette policy explain --from 10.30.0.7 --to 10.20.0.9:22',
    'vedette policy explain --from exe=/usr/bin/curl,namespace=serving --to hub.example:443',
    'vedette policy explain --from inference --to storage:9000 --policy site.yaml',
    'vedette policy explain --from namespace=serving,exe=/bin/tar --read imagenet',
    'vedette policy explain --from training --read vectors   a database, and the way to it',
    'vedette policy explain 3f2a                   the connections of an incident',
    'vedette policy explain gpu-07:1203 --policy new.yaml   an event, under another policy',
  ],
  settings: ['from', 'to', 'read', 'write', 'policy', 'server', 'data', 'tls_ca', 'tls_cert',
    'tls_key'],
  changes: {
    from: { value: 'end', help: `who opens the connection, or reads: ${END_FORMS}` },
    to: { value: 'end:port', help: 'who accepts it, with port and, if not TCP, /protocol' },
    policy: { help: 'policy file', shown: `${POLICY_FILE}; of events that of the log` },
    data: { help: 'read this data folder instead of asking a correlator' },
  },
  async run(values, what): Promise<ExitCode> {
    const { from, to, read, write } = values
    const targets = [to, read, write].filter((target) => target !== undefined)
    if (what !== undefined && from === undefined && targets.length === 0) {
      return await explainLogged(values, what)
    }
    if (what !== undefined || from === undefined || targets.length !== 1) {
      throw new CliError('CLI_USAGE', 'explain needs both --from and --to, or --from and --read ' +
        'or --write, or an event or incident; vedette policy explain --help shows how to write ' +
        'them')
    }
    if (to !== undefined) return await explainAsked(values, from, to)
    return await explainStore(values, from, read === undefined ? 'write' : 'read', targets[0])
  },
}

async function explainStore(
  values: Values, from: string, action: StoreAction, name: string,
): Promise<ExitCode> {
  const file = values.policy ?? POLICY_FILE
  const policy = compilePolicy(readPolicy(file))
  const store = policy.stores.get(name)
  if (store === null) {
    const names = policy.stores.all.map((one) => one.name)
    const near = suggest(name, names)
    throw new CliError('CLI_USAGE', `--${action}: ${file} has no store ${JSON.stringify(name)}` +
      (near !== null ? `; did you mean ${near}?` : names.length === 0 ? '' :
        `; it has ${names.join(', ')}`))
  }
  const end = parseEnd('--from', from, policy)
  if (end.address !== null && end.process === null && end.zone === undefined) {
    throw new CliError('CLI_USAGE', '--from is an address; a process reads a store: write its ' +
      'program, or facts such as namespace=serving')
  }
  const access = explainAccess(policy, store, action, end.process ?? {}, end.zone)
  const ways = explainEndpoints(policy, store, end)
  await printLines(values.output === 'json'
    ? [JSON.stringify({ from, ...accessJson(access), ...endpointsJson(ways) })]
    : [...accessLines(access, from, file, screenWidth()),
      ...endpointLines(access, ways, file, screenWidth())])
  const isShut = ways.length > 0 && ways.every(({ explanation }) => !explanation.allowed)
  return access.allowed === false || (isShut && !isOfFiles(store)) ? 1 : 0
}

async function explainAsked(values: Values, from: string, to: string): Promise<ExitCode> {
  const file = values.policy ?? POLICY_FILE
  const policy = compilePolicy(readPolicy(file))
  const { end, port, protocol } = parseTarget('--to', to, policy)
  const opener = parseEnd('--from', from, policy)
  const explanation = explainConnection(policy, opener, end, port, protocol)
  const store = storeBehind(policy, end, port)
  // Of an address alone nobody knows who reads.
  const access = store === null || (opener.process === null && opener.zone === undefined) ? null
    : explainAccess(policy, store, 'read', opener.process ?? {}, opener.zone)
  await printLines(values.output === 'json' ? [JSON.stringify({ from, to,
    ...explanationJson(explanation), ...access !== null && { read: accessJson(access) } })]
    : [...explanationLines(explanation, [from, to], file, screenWidth()),
      ...access === null ? [] : accessLines(access, from, file, screenWidth())])
  return explanation.allowed && access?.allowed !== false ? 0 : 1
}

async function explainLogged(values: Values, what: string): Promise<ExitCode> {
  const { wanted, left, ...range } = await wantedOf(values, what)
  const policy = values.policy === undefined ? null : readPolicy(values.policy)
  const explained = await explainEvents(streamFrames(values, range), wanted, policy)
  if (explained.length === 0) {
    throw new CliError('CLI_NO_DATA', `the event log holds no connection or read of ${what}`)
  }
  const file = values.policy ?? 'policy'
  await printLines(values.output === 'json' ? explained.map(eventJson)
    : explained.flatMap((one, i) => [...(i > 0 ? [''] : []), ...eventLines(one, file)]))
  const unexplained = wanted.length - explained.length
  if (unexplained > 0) {
    say(`${unexplained} more events are no connections or reads, or left the log`)
  }
  if (left > 0) say(`${left} more events of the incident were not looked at; name one to see it`)
  return explained.every(isAllowed) ? 0 : 1
}

/** Events to be explained, and the range of the log to read for them. Throws CliError. */
async function wantedOf(
  values: Values, what: string,
): Promise<{ wanted: Wanted[], left: number, fromMs: number, toMs: number }> {
  const event = /^(.+?)(?::([0-9a-f]{32}))?:([0-9]{1,15})$/.exec(what)
  if (event !== null) {
    const [, node_id, boot_id, seq] = event
    const wanted = { node_id, boot_id: boot_id ?? null, seq: Number(seq) }
    const timeMs = values.data === undefined ? await timeOfEvent(values, wanted) : null
    if (values.data === undefined && timeMs === null) {
      throw new CliError('CLI_NO_DATA', `the event log holds no event ${what}`)
    }
    return {
      wanted: [wanted], left: 0, fromMs: timeMs === null ? -Infinity : timeMs - BEFORE_MS,
      toMs: timeMs === null ? Infinity : timeMs + BEHIND_MS,
    }
  }
  if (!/^[0-9a-f]{1,64}$/.test(what)) {
    throw new CliError('CLI_USAGE', `${JSON.stringify(what)} is neither an event ` +
      '(NODE:BOOT:SEQ or NODE:SEQ) nor the id of an incident')
  }
  const incident = await incidentById(values, what)
  const evidence = new Map(incident.findings.flatMap((finding) => finding.evidence)
    .map((one) => [`${one.node_id} ${one.boot_id} ${one.seq}`, one]))
  return {
    wanted: [...evidence.values()].slice(0, EVENTS_MAX),
    left: Math.max(0, evidence.size - EVENTS_MAX),
    fromMs: Date.parse(incident.opened_at) - BEFORE_MS,
    toMs: Date.parse(incident.updated_at) + BEHIND_MS,
  }
}

function isAllowed(event: ExplainedEvent): boolean {
  return 'access' in event ? event.access.allowed !== false
    : event.explanation.allowed && event.read?.allowed !== false
}

function eventJson(event: ExplainedEvent): string {
  const { evidence, kind, time, policy } = event
  const told = 'access' in event ? { by: event.by, ...accessJson(event.access) }
    : { from: event.from, to: event.to, ...explanationJson(event.explanation),
      ...event.read !== null && { read: accessJson(event.read) } }
  return JSON.stringify({ ...evidence, kind, time, policy_sha256: policy, ...told })
}

function eventLines(event: ExplainedEvent, file: string): string[] {
  const { evidence: { node_id, seq }, kind, time } = event
  const width = screenWidth()
  const lines = 'access' in event ? accessLines(event.access, inWords(event.by), file, width)
    : [...explanationLines(
      event.explanation, [inWords(event.from), inWords(event.to)], file, width),
    ...event.read === null ? [] : accessLines(event.read, inWords(event.from), file, width)]
  return [`${time}  ${kind} ${seq} of ${node_id}`, ...lines]
}

function inWords({ endpoint, name, exe, pid, node_id, workload }: ExplainedProcess): string {
  const who = exe === undefined ? '' : `${exe || 'a process'} (pid ${pid} on ${node_id})`
  const role = workload !== undefined && workload !== exe ? workload : ''
  return [endpoint, name, who, role === name ? '' : role].filter((part) => part !== '').join('  ')
}
