import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { startAgent } from '../agent/main.ts'
import type { RunningAgent } from '../agent/main.ts'
import { startCorrelator } from '../correlator/main.ts'
import type { RunningCorrelator } from '../correlator/main.ts'
import type { Incident } from '../detect/incident.ts'
import { amount } from '../detect/words.ts'
import type { EventJson } from '../proto/event-json.ts'
import { LogReader } from '../log/cursor.ts'
import { listSegments } from '../log/folder.ts'
import type { CommandSpec, ExitCode } from './command.ts'
import { liveFeed } from './feed.ts'
import type { FeedPage } from './feed.ts'
import {
  agentConfig, AGENT_SETTINGS, correlatorConfig, CORRELATOR_SETTINGS, TLS_SETTINGS,
} from './half-settings.ts'
import { printLines, say, screenWidth, tone, toneOf } from './output.ts'
import { POLICY_FILE } from './policy-file.ts'
import { QueryServer } from './read/server.ts'
import type { Values } from './settings.ts'
import { stopSignal, untilStopped } from './stop-signal.ts'
import { eventLine } from './text/event-line.ts'
import { fit, printable } from './text/printable.ts'
import { probeLines } from './text/probes.ts'
import { wrap } from './text/table.ts'
import { formatCount } from './text/time.ts'
import { version } from './version.ts'

const DATA_DEFAULT = './data'

export const spec: CommandSpec = {
  name: 'up',
  summary: 'agent, correlator and read API in one process on this machine, with a live feed',
  examples: [
    'vedette up                              ./data, and ./vedette.yaml where there is one',
    'vedette up --policy site.yaml --quiet   incidents only',
    'vedette up --listen 127.0.0.1:0 --listen-http 127.0.0.1:0 --agent-listen-http 127.0.0.1:0',
  ],
  // Both halves ask Kubernetes, with the same settings.
  settings: [...new Set(['data', 'quiet', 'agent_listen_http', ...CORRELATOR_SETTINGS,
    ...AGENT_SETTINGS, ...TLS_SETTINGS] as const)],
  changes: {
    data: { default: DATA_DEFAULT },
    policy: { help: 'policy file', shown: `./${POLICY_FILE}, else learning` },
    listen_http: { shown: '127.0.0.1:7412' },
  },
  async run(values): Promise<ExitCode> {
    const signal = stopSignal()
    const { data = DATA_DEFAULT } = values
    const policy = values.policy ?? (existsSync(POLICY_FILE) ? POLICY_FILE : undefined)
    say(`Vedette ${version}: opening ${data}`)
    const correlator = await startCorrelator(correlatorConfig({ ...values, policy }, data), {
      report: (line) => say(`correlator: ${printable(line)}`),
    })
    try {
      const first = endOfLog(data)
      const server = addressOf(values.listen ?? '127.0.0.1:7411', correlator.grpc_port)
      say('loading the probes')
      const agent = await startAgent({
        ...agentConfig(values, server, data), listen_http: values.agent_listen_http,
      })
      await runUntilStopped({ agent, correlator, values, data, policy, server, first, signal })
    } finally {
      await correlator.stop()
    }
    return 0
  },
}

interface Running {
  agent: RunningAgent
  correlator: RunningCorrelator
  values: Values
  data: string
  policy: string | undefined
  /** gRPC of the correlator. */
  server: string
  /** First position of the event log that the feed shows. */
  first: number
  signal: AbortSignal
}

async function runUntilStopped(running: Running): Promise<void> {
  const { agent, values, signal, server, data, first } = running
  const query = new QueryServer({ ...values, server }, signal)
  // The feed is for whoever looks; what goes wrong in it must not stop the watching.
  const failed = (error: unknown): void => say(`vedette: live feed: ${String(error)}`)
  try {
    for (const line of banner(running)) say(line)
    void showIncidents(query, values).catch(failed)
    if (values.quiet !== true) void showEvents(liveFeed(join(data, 'log'), first, signal), values)
      .catch(failed)
    await untilStopped(signal)
    say('stopping: detaching the probes, delivering and storing what waits')
  } finally {
    query.close()
    await agent.stop()
  }
}

function banner({ agent, correlator, values, data, policy, server }: Running): string[] {
  const scope = values.scope_cgroup === undefined ? 'the whole machine'
    : `cgroup ${values.scope_cgroup}`
  return [
    '',
    `Watching  ${scope} as ${agent.node_id}`,
    ...probeLines(agent.probeStates, '          '),
    `Policy    ${policy ?? 'learning: everything is recorded, nothing is a violation'}`,
    `Data      ${data}`,
    `Readers   gRPC ${server}`,
    `Metrics   http://127.0.0.1:${correlator.http_port}/metrics (correlator), ` +
      `http://127.0.0.1:${agent.metrics_port}/metrics (agent)`,
    'Try       vedette drill zone-violation | vedette incidents | vedette events --follow',
    'Stop      Ctrl-C',
    '',
  ]
}

async function showEvents(
  pages: AsyncGenerator<FeedPage, void, undefined>, { output }: Values,
): Promise<void> {
  for await (const { lines, leftOut } of pages) {
    if (output === 'json') {
      const missed = JSON.stringify({ missed: 'not shown here', missed_events: leftOut })
      await printLines(leftOut > 0 ? [...lines, missed] : lines)
      continue
    }
    const width = screenWidth()
    await printLines(lines.map((line) => fit(eventLine(JSON.parse(line) as EventJson), width)))
    if (leftOut > 0) {
      await printLines([tone('faint',
        `… ${formatCount(leftOut)} more events; vedette events --follow shows all`)])
    }
  }
}

/** Incidents that open or change from now on. */
async function showIncidents(query: QueryServer, { output }: Values): Promise<void> {
  const known = new Map<string, string>()
  for await (const lines of query.incidents({})) {
    for (const line of lines) known.set(idOf(line), line)
  }
  const open = [...known.values()].map(parse).filter(({ state }) => state === 'open').length
  if (open > 0) say(`open: ${amount(open, 'incident')}; vedette incidents lists them`)
  for await (const lines of query.incidents({ follow: true })) {
    const fresh = lines.filter((line) => known.get(idOf(line)) !== line)
    if (output === 'json') await printLines(fresh)
    else {
      const isKnown = (line: string): boolean => known.has(idOf(line))
      await printLines(fresh.flatMap((line) => incidentLines(parse(line), isKnown(line))))
    }
    for (const line of fresh) known.set(idOf(line), line)
  }
}

function incidentLines(incident: Incident, isKnown: boolean): string[] {
  const { incident_id, severity, state, summary } = incident
  const change = state === 'closed' ? 'closed' : isKnown ? 'again' : 'new'
  const head = `▲ ${severity.toUpperCase()} incident ${incident_id} (${change})`
  return [
    tone('strong', tone(toneOf(severity), head)),
    ...wrap(printable(summary), screenWidth() - 2).map((line) => `  ${line}`),
    tone('faint', `  vedette incidents show ${incident_id.slice(0, 6)}`),
  ]
}

function idOf(line: string): string {
  return parse(line).incident_id
}

function parse(line: string): Incident {
  return JSON.parse(line) as Incident
}

/** Where the agent of the same process finds the correlator, whatever it listens on. */
function addressOf(listen: string, port: number): string {
  const host = listen.slice(0, listen.lastIndexOf(':'))
  if (host === '0.0.0.0' || host === '') return `127.0.0.1:${port}`
  return `${host === '[::]' ? '[::1]' : host}:${port}`
}

/** The position behind the newest of the event log. */
function endOfLog(data: string): number {
  const dir = join(data, 'log')
  const from = listSegments(dir).at(-1)?.firstPosition ?? 1
  let next = from
  for (const { position } of new LogReader(dir).read({ from, onProblem: () => undefined })) {
    next = position + 1
  }
  return next
}
