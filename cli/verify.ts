import { join } from 'node:path'
import { checkConservation } from '../correlator/ingest/conservation.ts'
import type { Conservation } from '../correlator/ingest/conservation.ts'
import { LogReader } from '../log/cursor.ts'
import { verifyLog } from '../log/verify.ts'
import type { Verification } from '../log/verify.ts'
import { decodeEnvelope } from '../proto/batch.ts'
import type { CommandSpec, ExitCode } from './command.ts'
import { CliError } from './errors.ts'
import { printLines, say, screenWidth, tone } from './output.ts'
import { Progress } from './progress.ts'
import { isThere } from './read/offline.ts'
import { printable } from './text/printable.ts'
import { alignRows, wrap } from './text/table.ts'
import { formatBytes, formatCount } from './text/time.ts'

/** The logs of a data folder: name of the folder, and what it is. */
const LOGS = { log: 'event log', incidents: 'incident log', spool: 'spool' } as const
const DATA_DEFAULT = './data'

export const spec: CommandSpec = {
  name: 'verify',
  summary: 'checks a data folder: hash chains, checksums, missing numbers, conservation',
  examples: [
    'vedette verify                    ./data, also while `vedette up` writes to it',
    'vedette verify --data /var/lib/vedette --output json',
  ],
  settings: ['data'],
  changes: { data: { default: DATA_DEFAULT } },
  async run({ data = DATA_DEFAULT, output }): Promise<ExitCode> {
    const parts = await verifyFolder(data)
    await printLines(output === 'json' ? parts.map((part) => JSON.stringify(part))
      : reportLines(parts, screenWidth()))
    return parts.every(({ ok }) => ok) ? 0 : 1
  },
}

/** One part of the report; its JSON has the keys of what it was made from. */
export type Part = { part: string, path: string } &
  ({ checked: 'chain' } & Verification | { checked: 'conservation' } & Conservation)

/** Checks every log of a data folder. Throws CliError CLI_NO_DATA when there is none. */
export async function verifyFolder(data: string): Promise<Part[]> {
  const names = (Object.keys(LOGS) as (keyof typeof LOGS)[])
    .filter((name) => isThere(join(data, name)))
  if (names.length === 0) throw new CliError('CLI_NO_DATA', `${data} holds no log to verify`)
  const parts: Part[] = []
  for (const name of names) {
    const path = join(data, name)
    parts.push({ part: LOGS[name], path, checked: 'chain', ...await verifyLog(path) })
  }
  if (names.includes('log')) {
    const path = join(data, 'log')
    parts.push({
      part: 'conservation', path, checked: 'conservation', ...checkConservation(batchesOf(path)),
    })
  }
  return parts
}

function* batchesOf(dir: string): Generator<{ position: number, payload: Buffer }> {
  const progress = new Progress('checked', 'events')
  // Damage was reported by the chain already.
  for (const entry of new LogReader(dir).read({ onProblem: () => undefined })) {
    yield entry
    progress.add(countOf(entry.payload))
  }
  progress.clear()
}

function countOf(payload: Buffer): number {
  try {
    return decodeEnvelope(payload).count
  } catch {
    return 0
  }
}

function reportLines(parts: readonly Part[], width: number): string[] {
  const rows = alignRows(parts.map((part) => [
    part.ok ? { text: 'ok', paint: (text: string) => tone('good', text) }
      : { text: 'BROKEN', paint: (text: string) => tone('bad', text) },
    part.part, amounts(part),
  ]), width)
  const lines = parts.flatMap((part, i) => [rows[i],
    ...problemsOf(part).flatMap((problem) =>
      wrap(printable(problem), width - 4).map((line) => `    ${line}`))])
  const broken = parts.find(({ ok }) => !ok)
  if (broken !== undefined) say(`vedette: ${broken.part}: ${problemsOf(broken)[0]}`)
  return lines
}

function amounts(part: Part): string {
  if (part.checked === 'conservation') {
    return `${formatCount(part.events)} events in ${formatCount(part.batches)} batches, ` +
      `${formatCount(part.ledgers)} accounts of agents`
  }
  const tail = part.tail_bytes > 0 ? `, ${part.tail_bytes} bytes of a write in flight` : ''
  return `${formatCount(part.frames)} frames in ${part.segments} segments, ` +
    `${formatBytes(part.bytes)}${tail}, chain head ${part.chain_head.slice(0, 16)}…`
}

function problemsOf(part: Part): string[] {
  if (part.checked === 'chain') {
    return [
      ...part.problems.map(({ segment, offset, position, what, action }) =>
        `${segment} at byte ${offset}, position ${position}: ${what}. ${action}`),
      ...leftOut(part.problems_left_out),
    ]
  }
  return [
    ...part.problems.map(({ node_id, boot_id, event_kind, position, what }) =>
      `position ${position}, node ${node_id}, boot ${boot_id.slice(0, 8)}${event_kind && ', '}` +
      `${event_kind}: ${what}`),
    ...part.holes.map(({ node_id, boot_id, from_seq, to_seq, position }) =>
      `position ${position}, node ${node_id}, boot ${boot_id.slice(0, 8)}: ` +
      `events ${from_seq} to ${to_seq} are missing`),
    ...leftOut(part.left_out),
  ]
}

function leftOut(count: number): string[] {
  return count > 0 ? [`and ${formatCount(count)} more`] : []
}
