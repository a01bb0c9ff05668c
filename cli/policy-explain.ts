import { compilePolicy } from '../policy/compile.ts'
import { explainConnection } from '../policy/explain.ts'
import type { CommandSpec, ExitCode } from './command.ts'
import { CliError } from './errors.ts'
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

/** Connections of one incident that are explained. */
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
  summary: 'says why a connection is or is not allowed, and by which lines of the policy',
  examples: [
    'vedette policy explain --from 10.30.0.7 --to 10.20.0.9:22',
    'vedette policy explain --from exe=/usr/bin/curl,namespace=serving --to hub.example:443',
    'vedette policy explain --from inference --to storage:9000 --policy site.yaml',
    'vedette policy explain 3f2a                   the connections of an incident',
    'vedette policy explain gpu-07:1203 --policy new.yaml   an event, under another policy',
  ],
  settings: ['from', 'to', 'policy', 'server', 'data', 'tls_ca', 'tls_cert', 'tls_key'],
  changes: {
    from: { value: 'end', help: `who opens the connection: ${END_FORMS}` },
    to: { value: 'end:port', help: 'who accepts it, with port and, if not TCP, /protocol' },
    policy: { help: 'policy file', shown: `${POLICY_FILE}; of events that of the log` },
    data: { help: 'read this data folder instead of asking a correlator' },
  },
  async run(values, what): Promise<ExitCode> {
    const { from, to } = values
    if (what !== undefined && from === undefined && to === undefined) {
      return await explainLogged(values, what)
    }
    if (what !== undefined || from === undefined || to === undefined) {
      throw new CliError('CLI_USAGE', 'explain needs both --from and --to, or an event or ' +
        'incident; vedette policy explain --help shows how to write them')
    }
    return await explainAsked(values, from, to)
  },
}

async function explainAsked(values: Values, from: string, to: string): Promise<ExitCode> {
  const file = values.policy ?? POLICY_FILE
  const policy = compilePolicy(readPolicy(file))
  const { end, port, protocol } = parseTarget('--to', to, policy)
  const explanation =
    explainConnection(policy, parseEnd('--from', from, policy), end, port, protocol)
  await printLines(values.output === 'json'
    ? [JSON.stringify({ from, to, ...explanationJson(explanation) })]
    : explanationLines(explanation, [from, to], file, screenWidth()))
  return explanation.allowed ? 0 : 1
}

async function explainLogged(values: Values, what: string): Promise<ExitCode> {
  const { wanted, left, ...range } = await wantedOf(values, what)
  const policy = values.policy === undefined ? null : readPolicy(values.policy)
  const explained = await explainEvents(streamFrames(values, range), wanted, policy)
  if (explained.length === 0) {
    throw new CliError('CLI_NO_DATA', `the event log holds no connection of ${what}`)
  }
  const file = values.policy ?? 'policy'
  await printLines(values.output === 'json' ? explained.map(eventJson)
    : explained.flatMap((one, i) => [...(i > 0 ? [''] : []), ...eventLines(one, file)]))
  const unexplained = wanted.length - explained.length
  if (unexplained > 0) say(`${unexplained} more events are no connections, or left the log`)
  if (left > 0) say(`${left} more events of the incident were not looked at; name one to see it`)
  return explained.every(({ explanation }) => explanation.allowed) ? 0 : 1
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

function eventJson(event: ExplainedEvent): string {
  const { evidence, kind, time, policy, from, to, explanation } = event
  return JSON.stringify({
    ...evidence, kind, time, policy_sha256: policy, from, to, ...explanationJson(explanation),
  })
}

function eventLines(event: ExplainedEvent, file: string): string[] {
  const { evidence: { node_id, seq }, kind, time, from, to, explanation } = event
  return [`${time}  ${kind} ${seq} of ${node_id}`,
    ...explanationLines(explanation, [inWords(from), inWords(to)], file, screenWidth())]
}

function inWords({ endpoint, name, exe, pid, node_id, workload }: ExplainedProcess): string {
  const who = exe === undefined ? '' : `${exe || 'a process'} (pid ${pid} on ${node_id})`
  const role = workload !== undefined && workload !== exe ? workload : ''
  return [endpoint, name, who, role === name ? '' : role].filter((part) => part !== '').join('  ')
}
