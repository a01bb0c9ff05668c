import { amount } from '../detect/words.ts'
import { evidenceOf, whyRefused } from '../policy/learn/told.ts'
import type { Listed } from '../policy/learn/stores/propose.ts'
import { refusedInWords, whyStoreRefused } from '../policy/learn/stores/refused.ts'
import { expectedInWords, listedInWords } from '../policy/learn/stores/told.ts'
import type { CommandSpec, ExitCode } from './command.ts'
import { timeOption } from './events.ts'
import { incidentsByEvent } from './learn/incident-events.ts'
import { learnPolicy } from './learn/learn.ts'
import type { Learned } from './learn/learn.ts'
import { openSource } from './learn/source.ts'
import { printLines, say } from './output.ts'
import { readPolicy } from './policy-file.ts'
import { TIME_FORMS } from './text/time.ts'

/** `vedette policy learn`. */
export const learn: CommandSpec = {
  name: 'learn',
  summary: 'proposes a policy from the event log, with the evidence for every rule',
  examples: [
    'vedette policy learn --from 7d > vedette.yaml     zones and flows of the last week',
    'vedette policy learn --policy vedette.yaml        that policy, and what it misses; also who',
    '                                                  reads and changes its stores, and how much',
    'vedette policy learn --data ./data --output json  a data folder; a line per zone and flow',
  ],
  settings: ['policy', 'from', 'to', 'connections_min', 'server', 'data',
    'tls_ca', 'tls_cert', 'tls_key'],
  changes: {
    data: { help: 'read this data folder instead of asking a correlator' },
    policy: { help: 'propose only what this one misses', shown: 'none' },
    from: { help: `the log from then on: ${TIME_FORMS}` },
    to: { help: 'the log until then' },
    connections_min: { help: 'fewer connections are rare, and only listed; 1 takes all' },
  },
  async run(values): Promise<ExitCode> {
    const policy = values.policy === undefined ? undefined : readPolicy(values.policy)
    const range = {
      fromMs: timeOption('from', values.from) ?? -Infinity,
      toMs: timeOption('to', values.to) ?? Infinity,
    }
    const source = await openSource(values, range)
    const learned = learnPolicy(source.frames, {
      ...range, policy, incidentOf: incidentsByEvent(source.incidents),
      connectionsMin: Math.max(1, values.connections_min ?? 2),
    })
    const { text, zones, flows, refused, stores: { stores, refused: left, candidates } } = learned
    await printLines(values.output === 'json' ? jsonLines(learned) : [text.trimEnd()])
    const ofStores = stores.length === 0 ? '' : `, ${amount(stores.length, 'store')}`
    say(`${zones.length} zones, ${flows.length} flows${ofStores}; ` +
      `${refused.length + left.length} seen and not proposed` +
      (candidates.length === 0 ? '' : `; guessed: ${amount(candidates.length, 'further store')}`))
    for (const what of learned.lost) say(`vedette: not complete: ${what}`)
    return 0
  },
}

function storeJson({ stores, refused, candidates }: Learned['stores']): object[] {
  const listed = (list: readonly Listed[]): object[] => list.map((one) =>
    ({ matcher: one.matcher, pattern: one.pattern, ...one.seen, evidence: listedInWords(one) }))
  return [
    ...stores.map(({ store, readers, writers, expected }) => ({
      proposed: 'store', name: store.name, readers: listed(readers), writers: listed(writers),
      expected, ...expected === null ? {} : { evidence: expectedInWords(expected) },
    })),
    ...refused.map(({ naming, seen, ...one }) => ({
      proposed: 'nothing', ...one, matcher: naming?.matcher ?? null,
      pattern: naming?.pattern ?? null, ...seen, why: whyStoreRefused({ naming, seen, ...one }),
      evidence: refusedInWords({ naming, seen, ...one }),
    })),
    ...candidates.map(({ lines, ...one }) =>
      ({ proposed: 'guess', ...one, entry: lines.join('\n') })),
  ]
}

function jsonLines(learned: Learned): string[] {
  const { zones, flows, refused, stores, extent, nodes, violations, lost, text } = learned
  return [
    ...zones.map(({ name, exposure, match, evidence }) =>
      JSON.stringify({ proposed: 'zone', name, exposure, match, evidence: evidence.join(' ') })),
    ...flows.map((flow) =>
      JSON.stringify({ proposed: 'flow', ...flow, evidence: evidenceOf(flow) })),
    ...refused.map((one) => JSON.stringify(
      { proposed: 'nothing', ...one, why: whyRefused(one), evidence: evidenceOf(one) })),
    ...storeJson(stores).map((one) => JSON.stringify(one)),
    JSON.stringify({
      zones: zones.length, flows: flows.length, stores: stores.stores.length,
      guesses: stores.candidates.length,
      not_proposed: refused.length + stores.refused.length, nodes,
      from: new Date(extent.fromMs).toISOString(), to: new Date(extent.toMs).toISOString(),
      events: extent.events, violations, not_complete: lost, policy: text,
    }),
  ]
}
