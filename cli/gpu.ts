import { checkBaseline } from '../gpu/baseline/check.ts'
import type { CheckedItem } from '../gpu/baseline/check.ts'
import type { CommandSpec, ExitCode } from './command.ts'
import { timeOption } from './events.ts'
import { printLines, say, screenWidth, tone } from './output.ts'
import { readFleet } from './read/gpu-fleet.ts'
import type { FleetChange, GpuFleet } from './read/gpu-fleet.ts'
import { gpuFacts } from './text/gpu-facts.ts'
import { fit, printable } from './text/printable.ts'
import { alignRows } from './text/table.ts'
import type { Cell } from './text/table.ts'
import { formatDuration } from './text/time.ts'

export const spec: CommandSpec = {
  name: 'gpu',
  summary: 'the GPUs of all nodes: state, and verdict against the baseline in force',
  examples: [
    'vedette gpu                             a line per node; exit 1 when one differs',
    'vedette gpu --node gpu-1 --output json  all items of a node',
    'vedette gpu --changes --from 1d         what changed, when, and who acted just before',
  ],
  settings: ['node', 'changes', 'from', 'server', 'data', 'tls_ca', 'tls_cert', 'tls_key'],
  changes: {
    data: { help: 'read this data folder instead of asking a correlator' },
    from: { help: 'only changes from then on' },
  },
  async run(values): Promise<ExitCode> {
    const { node: only = [], output } = values
    const fleet = await readFleet(values)
    const wanted = (nodeId: string): boolean => only.length === 0 || only.includes(nodeId)
    if (values.changes) {
      const fromMs = timeOption('from', values.from) ?? 0
      const changes = fleet.changes.filter(({ timeMs, change }) =>
        timeMs >= fromMs && wanted(change.node_id))
      await printLines(changes.map(output === 'json' ? changeJson : changeLine))
      if (fleet.unlisted > 0) say(`vedette: ${fleet.unlisted} older changes are not listed`)
      return 0
    }
    const nodes = [...fleet.states.nodes()].filter(wanted).map((one) => nodeState(fleet, one))
    await printLines(output === 'json' ? nodes.map(nodeJson) : nodeTable(nodes, screenWidth()))
    if (nodes.length === 0 && output !== 'json') say('no node told anything of GPUs')
    return nodes.some(({ verdict }) => verdict === 'differs') ? 1 : 0
  },
}

/** One node as it is shown. */
interface NodeState {
  node_id: string
  driver_version: string
  flavour: string
  gpus: { uuid: string, name: string }[]
  /** 'none' where the policy names no baseline for the node. */
  verdict: 'matches' | 'differs' | 'unknown' | 'none'
  baseline: { node_class: string, path: string, sha256: string, key_id: string } | null
  differing: CheckedItem[]
  unknown: CheckedItem[]
  /** Milliseconds since 1970; 0 when nothing changed since it is watched. */
  changedMs: number
  items: { subject: string, item: string, value: string, reading: string, reason: string,
    since: string, verdict?: string, expected?: string }[]
}

function nodeState({ states, changes }: GpuFleet, nodeId: string): NodeState {
  const items = [...states.itemsOf(nodeId)]
  const value = (item: string): string => states.item(nodeId, 'driver', item)?.value ?? ''
  const baseline = states.baselineFor(nodeId)
  const checked = baseline === null ? [] : checkBaseline(items, baseline.index.baseline)
  const verdicts = new Map(checked.map((one) => [`${one.subject}\n${one.item}`, one]))
  const of = (verdict: string): CheckedItem[] => checked.filter((one) => one.verdict === verdict)
  const [differing, unknown] = [of('differs'), of('unknown')]
  const uuids = new Set(items.map(({ subject }) => subject)
    .filter((subject) => subject.startsWith('gpu:')))
  return {
    node_id: nodeId, driver_version: value('version') || value('nvml_driver_version'),
    flavour: value('flavour'),
    gpus: [...uuids].map((subject) => ({ uuid: subject.slice(4),
      name: (states.item(nodeId, subject, 'name') ?? states.item(nodeId, subject, 'model'))
        ?.value ?? '' })),
    verdict: baseline === null ? 'none' : differing.length > 0 ? 'differs'
      : unknown.length > 0 ? 'unknown' : 'matches',
    baseline: baseline === null ? null : { node_class: baseline.index.baseline.node_class,
      path: baseline.path, sha256: baseline.sha256, key_id: baseline.key_id },
    differing, unknown,
    changedMs: changes.findLast(({ change }) => change.node_id === nodeId)?.timeMs ?? 0,
    items: items.map(({ subject, item, value: is, reading, reason, sinceMs }) => {
      const found = verdicts.get(`${subject}\n${item}`)
      return { subject, item, value: is, reading, reason, since: new Date(sinceMs).toISOString(),
        ...found && { verdict: found.verdict, expected: found.expected } }
    }),
  }
}

function nodeJson({ changedMs, ...node }: NodeState): string {
  return JSON.stringify({ ...node,
    ...changedMs > 0 && { changed_at: new Date(changedMs).toISOString() } })
}

const TONES = { matches: 'good', differs: 'bad', unknown: 'warning', none: 'faint' } as const

function nodeTable(nodes: readonly NodeState[], width: number): string[] {
  if (nodes.length === 0) return []
  const rows = nodes.map((node): Cell[] => [
    { text: node.verdict === 'none' ? '-' : node.verdict,
      paint: (text) => tone(TONES[node.verdict], text) },
    fit(printable(node.node_id), 20), fit(printable(node.driver_version) || '-', 14),
    fit(gpusInWords(node), 30), factsInWords(node),
  ])
  return alignRows([['VERDICT', 'NODE', 'DRIVER', 'GPUS', 'BASELINE AND CHANGES'], ...rows], width)
}

function gpusInWords({ gpus }: NodeState): string {
  const names = new Set(gpus.map(({ name }) => name).filter((name) => name !== ''))
  const [name = ''] = names
  return `${gpus.length} × ${names.size > 1 ? `${names.size} models` : printable(name) || 'GPU'}`
}

function factsInWords({ baseline, differing, unknown, changedMs }: NodeState): string {
  const list = (items: readonly CheckedItem[]): string =>
    [...new Set(items.map(({ item }) => item))].map(printable).join(', ')
  const facts = [
    baseline === null ? 'no baseline' : printable(baseline.node_class),
    differing.length === 0 ? '' : `${differing.length} differ: ${list(differing)}`,
    unknown.length === 0 ? '' : `${unknown.length} unknown: ${list(unknown)}`,
    changedMs === 0 ? '' : `changed ${formatDuration(Math.max(0, Date.now() - changedMs))} ago`,
  ]
  return facts.filter((fact) => fact !== '').join('; ')
}

function changeJson({ event, change }: FleetChange): string {
  return JSON.stringify({ ...event, old_value: change.old, class: change.of,
    ...change.checked && { verdict: change.checked.verdict, expected: change.checked.expected } })
}

function changeLine({ event, change }: FleetChange): string {
  const { checked, old } = change
  const verdict = checked === null ? '' : ` (baseline: ${checked.verdict})`
  const actor = event['pid'] === undefined ? '' : ` by ${String(event['exe'] ?? event['comm'])} ` +
    `pid ${String(event['pid'])} uid ${String(event['uid'] ?? 0)}`
  const facts = gpuFacts.gpu_state({ ...event, old_value: old })
  return fit(printable(`${String(event['time']).slice(0, 19)}Z ${change.node_id} ` +
    facts + actor + verdict), screenWidth())
}
