import { join } from 'node:path'
import { evidenceOf, whyRefused } from '../policy/learn/told.ts'
import type { CommandSpec, ExitCode } from './command.ts'
import { timeOption } from './events.ts'
import { offlineIncidents } from './incidents.ts'
import { incidentsByEvent } from './learn/incident-events.ts'
import { learnPolicy } from './learn/learn.ts'
import type { Learned } from './learn/learn.ts'
import type { Frames } from './learn/range.ts'
import { printLines, say } from './output.ts'
import { readPolicy } from './policy-file.ts'
import { frames, isThere, openReader } from './read/offline.ts'
import { TIME_FORMS } from './text/time.ts'

const DATA_DEFAULT = './data'

/** `vedette policy learn`. */
export const learn: CommandSpec = {
  name: 'learn',
  summary: 'proposes a policy from the event log, with the evidence for every rule',
  examples: [
    'vedette policy learn --from 7d > vedette.yaml     zones and flows of the last week',
    'vedette policy learn --policy vedette.yaml        that policy, and what it misses',
    'vedette policy learn --output json                one line per zone, flow and refusal',
  ],
  settings: ['data', 'policy', 'from', 'to', 'connections_min'],
  changes: {
    data: { default: DATA_DEFAULT },
    policy: { help: 'propose only what this one misses', shown: 'none' },
    from: { help: `the log from then on: ${TIME_FORMS}` },
    to: { help: 'the log until then' },
    connections_min: { help: 'fewer connections are rare, and only listed; 1 takes all' },
  },
  async run({ data = DATA_DEFAULT, output, ...values }): Promise<ExitCode> {
    const policy = values.policy === undefined ? undefined : readPolicy(values.policy)
    const incidents = isThere(join(data, 'incidents')) ? offlineIncidents(data) : []
    const learned = learnPolicy(logFrames(data), {
      fromMs: timeOption('from', values.from) ?? -Infinity,
      toMs: timeOption('to', values.to) ?? Infinity,
      connectionsMin: Math.max(1, values.connections_min ?? 2),
      policy, incidentOf: incidentsByEvent(incidents),
    })
    const { text, zones, flows, refused } = learned
    await printLines(output === 'json' ? jsonLines(learned) : [text.trimEnd()])
    say(`${zones.length} zones, ${flows.length} flows; ${refused.length} seen and not proposed`)
    for (const what of learned.lost) say(`vedette: not complete: ${what}`)
    return 0
  },
}

/** The frames of the event log of a data folder, as far as they are there now. */
export function logFrames(data: string): Frames {
  const reader = openReader(data, 'log')
  // Each pass must see the same log, also while it grows.
  let last = 0
  for (const { position } of frames(reader)) last = position
  return function* () {
    for (const frame of frames(reader)) {
      if (frame.position > last) return
      yield frame
    }
  }
}

function jsonLines(learned: Learned): string[] {
  const { zones, flows, refused, extent, nodes, violations, lost, text } = learned
  return [
    ...zones.map(({ name, exposure, match, evidence }) =>
      JSON.stringify({ proposed: 'zone', name, exposure, match, evidence: evidence.join(' ') })),
    ...flows.map((flow) =>
      JSON.stringify({ proposed: 'flow', ...flow, evidence: evidenceOf(flow) })),
    ...refused.map((one) => JSON.stringify(
      { proposed: 'nothing', ...one, why: whyRefused(one), evidence: evidenceOf(one) })),
    JSON.stringify({
      zones: zones.length, flows: flows.length, not_proposed: refused.length, nodes,
      from: new Date(extent.fromMs).toISOString(), to: new Date(extent.toMs).toISOString(),
      events: extent.events, violations, not_complete: lost, policy: text,
    }),
  ]
}
