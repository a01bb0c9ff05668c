/** What the log says of the GPUs of all nodes: their state, their baselines, what changed. */
import { GpuStates } from '../../detect/gpu/gpu-states.ts'
import type { GpuChange } from '../../detect/gpu/gpu-states.ts'
import { compilePolicy } from '../../policy/compile.ts'
import { learningPolicy } from '../../policy/learning.ts'
import { parsePolicy } from '../../policy/parse.ts'
import type { EventJson } from '../../proto/event-json.ts'
import type { Values } from '../settings.ts'
import { offlineEvents } from './offline.ts'
import { QueryServer } from './server.ts'

/** A change with its time and who acted just before. */
export interface FleetChange {
  timeMs: number
  change: GpuChange
  /** The event that told it. */
  event: EventJson
}

const KINDS = ['policy_applied', 'baseline_applied', 'node_seen', 'gpu_state']
/** The latest are kept. */
const CHANGES_MAX = 10_000

/** What is known when the log was read to its end. */
export class GpuFleet {
  readonly states = new GpuStates((nodeId) =>
    this.#policy.gpus.baselineOf(this.#groups.get(nodeId) ?? ''))
  readonly changes: FleetChange[] = []
  /** Changes that are not listed: too many came after them. */
  unlisted = 0
  readonly #groups = new Map<string, string>()
  #policy = compilePolicy(learningPolicy())

  /** Takes an event over; events come in the order of the log. */
  learn(event: EventJson): void {
    const text = (name: string): string => String(event[name] ?? '')
    switch (event['kind']) {
      case 'policy_applied':
        this.#apply(text('text'))
        break
      case 'baseline_applied':
        this.states.apply({ path: text('path'), sha256: text('sha256'), text: text('text'),
          key_id: text('key_id') })
        break
      case 'node_seen':
        this.#groups.set(text('node_id'), text('node_group'))
        break
      case 'gpu_state':
        this.#learnState(event, text)
    }
  }

  #learnState(event: EventJson, text: (name: string) => string): void {
    const timeMs = Date.parse(text('time'))
    this.states.learn({
      node_id: text('node_id'), boot_id: text('boot_id'), seq: Number(event['seq']),
      subject: text('subject'), item: text('item'), value: text('value'),
      old_value: text('old_value'), reading: text('reading'), reason: text('reason'),
    }, timeMs, timeMs)
    for (const change of this.states.changes) {
      if (!change.isNews || (change.of === null && change.checked === null)) continue
      if (change.old === change.now.value) continue
      this.changes.push({ timeMs, change, event })
      if (this.changes.length <= CHANGES_MAX) continue
      this.changes.shift()
      this.unlisted++
    }
  }

  #apply(text: string): void {
    const { policy } = text === '' ? { policy: learningPolicy() } : parsePolicy(text)
    if (policy === null) return
    this.#policy = compilePolicy(policy)
    this.states.baselines.retain(policy.gpus.baselines.map(({ file }) => file))
  }
}

/** Reads the whole log of `--data` or `--server`. Throws CliError. */
export async function readFleet(values: Values): Promise<GpuFleet> {
  const fleet = new GpuFleet()
  const pages = values.data !== undefined
    ? offlineEvents(values.data,
      { fromMs: 0, toMs: Infinity, kinds: KINDS, nodes: [], limit: 0 }, null)
    : new QueryServer(values).events({ kinds: KINDS })
  for await (const lines of pages) {
    for (const line of lines) {
      const event = JSON.parse(line) as EventJson
      if (event['missed'] === undefined) fleet.learn(event)
    }
  }
  return fleet
}
