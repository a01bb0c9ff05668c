import { kindInfos } from '../proto/gen/events.ts'
import type { EventJson } from '../proto/event-json.ts'
import { suggest } from '../policy/read/suggest.ts'
import type { CommandSpec, ExitCode } from './command.ts'
import { CliError } from './errors.ts'
import { printLines, say, screenWidth } from './output.ts'
import { offlineEvents } from './read/offline.ts'
import { QueryServer } from './read/server.ts'
import type { Values } from './settings.ts'
import { stopSignal } from './stop-signal.ts'
import { eventLine } from './text/event-line.ts'
import { fit } from './text/printable.ts'
import { parseTime, TIME_FORMS } from './text/time.ts'

export const spec: CommandSpec = {
  name: 'events',
  summary: 'the event log as lines',
  examples: [
    'vedette events --follow                               what happens from now on',
    'vedette events --from 15m --kind connection_open      connections of the last 15 minutes',
    'vedette events --output json --data ./data            a data folder, without a correlator',
  ],
  settings: ['follow', 'kind', 'from', 'to', 'node', 'limit', 'server', 'data',
    'tls_ca', 'tls_cert', 'tls_key'],
  changes: {
    data: { help: 'read this data folder instead of asking a correlator' },
    from: { help: `from then on: ${TIME_FORMS}` },
    to: { help: 'until then' },
  },
  async run(values): Promise<ExitCode> {
    checkKinds(values.kind ?? [])
    const signal = stopSignal()
    for await (const lines of pagesOf(values, signal)) {
      const events = lines.filter((line) => !reportMissed(line))
      await printLines(values.output === 'json' ? events : events.map(screenLine))
      if (signal.aborted) break
    }
    return 0
  },
}

/** Milliseconds since 1970 of `--from` or `--to`; undefined when not given. Throws CLI_USAGE. */
export function timeOption(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const ms = parseTime(text, Date.now())
  if (ms !== null && ms >= 0) return Math.round(ms)
  throw new CliError('CLI_USAGE', `--${name} is ${JSON.stringify(text)}; write ${TIME_FORMS}`)
}

/** A line about events that could not be sent, as the query API puts it between the events. */
function reportMissed(line: string): boolean {
  if (!line.startsWith('{"missed":')) return false
  const { missed, missed_batches: batches } = JSON.parse(line) as Record<string, unknown>
  say(`vedette: ${String(missed)}${batches === undefined ? '' : ` (${String(batches)} batches)`}`)
  return true
}

/** One event for a person, as wide as the screen. */
export function screenLine(json: string): string {
  return fit(eventLine(JSON.parse(json) as EventJson), screenWidth())
}

function pagesOf(values: Values, signal: AbortSignal): AsyncGenerator<string[], void, undefined> {
  const [fromMs, toMs] = [timeOption('from', values.from), timeOption('to', values.to)]
  const { kind: kinds = [], node: nodes = [], limit = 0, follow = false } = values
  if (values.data !== undefined) {
    // As with a correlator: to follow without --from begins now.
    const from = fromMs ?? (follow ? Date.now() : 0)
    const filter = { fromMs: from, toMs: toMs ?? Infinity, kinds, nodes, limit }
    return offlineEvents(values.data, filter, follow ? signal : null)
  }
  return new QueryServer(values, signal).events({
    from_ms: fromMs ?? 0, to_ms: toMs ?? 0, kinds, node_ids: nodes, limit, follow,
  })
}

function checkKinds(kinds: readonly string[]): void {
  const known = kindInfos.map((info): string => info.kind)
  for (const kind of kinds) {
    if (known.includes(kind)) continue
    const near = suggest(kind, known)
    throw new CliError('CLI_USAGE', `there is no event kind ${JSON.stringify(kind)}; ` +
      (near === null ? `known are ${known.join(', ')}` : `did you mean ${near}?`))
  }
}
