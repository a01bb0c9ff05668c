/** Changes of the state of GPUs in words. */
import type { Context } from '../../detect/context.ts'
import type { Json, Story } from '../../detect/finding.ts'
import type { GpuChange } from '../../detect/gpu/gpu-states.ts'
import { amount, printable } from '../../detect/words.ts'
import { standingInWords } from '../gpu/standing.ts'
import type { Standing } from '../gpu/standing.ts'

/** One item that is another one, or not what it must be. */
export type DriftItem = {
  subject: string
  item: string
  old: string
  value: string
  reading: string
  reason: string
  /** By the baseline; '' when it says nothing of it. */
  expected: string
  verdict: string
}

/** Everything that is told of a change; plain data. */
export interface DriftStory {
  what: string
  nodeId: string
  items: DriftItem[]
  /** Items that are not listed. */
  unlisted: number
  isNews: boolean
  baseline: { path: string, node_class: string, sha256: string, key_id: string } | null
  standing: Standing
  /** What the process did just before; null: nobody was seen. */
  actor: { kind: string, action: string, age_ms: number } | null
  process: { [key: string]: Json } | null
  nextSteps: readonly string[]
}

export function driftItem({ now, old, checked }: GpuChange): DriftItem {
  const { subject, item, value, reading, reason } = now
  return {
    subject, item, old, value, reading, reason,
    expected: checked?.expected ?? '', verdict: checked?.verdict ?? '',
  }
}

/** What people read of it. */
export function driftStory(story: DriftStory, context: Context): Story {
  const { what, nodeId, items, unlisted, isNews, baseline, standing, actor, process } = story
  const node = printable(nodeId)
  const more = items.length - 1 + unlisted
  const head = isNews ? `The ${what} of ${node} changed: `
    : `The ${what} of ${node} is not what it must be: `
  const others = more > 0 ? `, and ${amount(more, 'further item')}` : ''
  const facts = `${itemInWords(items[0], isNews)}${expectedInWords(story)}${others}.`
  const said = isNews || standing === 'stranger' ? standingInWords(standing) : ''
  return {
    summary: [head + facts, isNews ? whoInWords(story) : '', said]
      .filter((part) => part !== '').join(' '),
    details: {
      items: items.map((one) => ({ ...one })), items_unlisted: unlisted, process,
      actor_kind: actor?.kind ?? '', actor_action: actor?.action ?? '',
      actor_age_ms: actor?.age_ms ?? null, standing,
      in_maintenance: context.policy.gpus.inMaintenance(context.watermarkMs,
        context.zones.groupOf(nodeId)),
      baseline: baseline === null ? null : { ...baseline },
    },
    next_steps: [...story.nextSteps,
      `\`vedette gpu --node ${node} --changes\` shows all that changed there, and when.`],
  }
}

/** `ecc_mode of gpu:GPU-…: enabled → disabled` */
function itemInWords({ subject, item, old, value, reading, reason }: DriftItem, isNews: boolean) {
  const whose = subject === 'driver' || subject === 'host' ? '' : ` of ${printable(subject, 60)}`
  const now = reading === 'known' ? printable(value, 80)
    : (reading === 'not_supported' ? 'not there' : 'cannot be known') +
      (reason === '' ? '' : ` (${printable(reason, 80)})`)
  const before = isNews && old !== '' && old !== value ? `${printable(old, 80)} → ` : ''
  return `${printable(item, 100)}${whose}: ${before}${now}`
}

function expectedInWords({ items: [{ expected, verdict }], baseline }: DriftStory): string {
  if (verdict === '' || baseline === null) return ''
  const name = printable(baseline.node_class)
  return verdict === 'matches' ? ` (as in the baseline ${name})`
    : ` (the baseline ${name} wants ${printable(expected, 80)})`
}

function whoInWords({ process, actor }: DriftStory): string {
  if (process === null) return 'Nobody was seen who did it.'
  const { exe, comm, pid, uid, workload } = process
  const program = printable(String(exe || comm || 'a process'))
  const role = workload === exe ? '' : `, workload ${printable(String(workload))}`
  const did = actor === null ? 'acted'
    : `did ${actor.kind} ${printable(actor.action, 100)}`.trimEnd()
  return `Just before, ${program} (pid ${String(pid)}, uid ${String(uid)}${role}) ${did}.`
}
