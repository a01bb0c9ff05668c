import type { EventJson } from '../../proto/event-json.ts'
import { formatBytes, formatCount, formatDuration } from './time.ts'

/** Per kind about data stores: what its event says, in words. */
export const storeFacts = {
  store_read: readFacts,
  store_write: writeFacts,
  store_listing: listingFacts,
  store_seen: seenFacts,
  artifact_digest: digestFacts,
}

/** `imagenet: 1.2 GiB of 3,120 files by read in 5 s: /data/imagenet/train-0001 …` */
function readFacts(event: EventJson): string {
  const files = numberOf(event, 'files_distinct')
  const owner = numberOf(event, 'owner_pid')
  const written = numberOf(event, 'process_written_bytes')
  return `${text(event, 'store')}: ${formatBytes(numberOf(event, 'bytes'))}, ` +
    `${formatCount(files)} ${files === 1 ? 'file' : 'files'} by ${text(event, 'mechanism')}` +
    (owner > 0 ? ` of process ${owner}` : '') + span(event) +
    (written > 0 ? `, has written ${formatBytes(written)} since` : '') + judged(event) +
    `: ${text(event, 'path')}` + (files > 1 ? ' …' : '')
}

function writeFacts(event: EventJson): string {
  const old = text(event, 'old_path')
  const operations = numberOf(event, 'count')
  return `${text(event, 'store')}: ${text(event, 'operation')} ` +
    (old === '' ? text(event, 'path') : `${old} → ${text(event, 'path')}`) +
    (operations > 1 ? ` and ${formatCount(operations - 1)} more${span(event)}` : '') +
    judged(event)
}

function listingFacts(event: EventJson): string {
  return `${text(event, 'store')}: ${formatCount(numberOf(event, 'directories'))} directories in ` +
    `${formatCount(numberOf(event, 'calls'))} calls${span(event)}: ${text(event, 'path')}`
}

function seenFacts(event: EventJson): string {
  const from = text(event, 'mount_source')
  const reason = text(event, 'reason')
  return `${text(event, 'store')} is ${text(event, 'state')}: ${text(event, 'path')}` +
    (from === '' ? '' : ` (${text(event, 'fs_type')} of ${from})`) +
    (reason === '' ? '' : `: ${reason}`)
}

function digestFacts(event: EventJson): string {
  const reason = text(event, 'reason')
  return `${text(event, 'path')} ${text(event, 'verdict')} ` +
    `${text(event, 'sha256').slice(0, 12)}`.trimEnd() + (reason === '' ? '' : `: ${reason}`)
}

/** Whether the policy lets it. */
function judged(event: EventJson): string {
  return event['permitted'] === false ? ', not allowed' : ''
}

function span(event: EventJson): string {
  const ns = numberOf(event, 'duration_ns')
  return ns > 0 ? ` in ${formatDuration(ns / 1e6)}` : ''
}

function text(event: EventJson, name: string): string {
  return String(event[name] ?? '')
}

function numberOf(event: EventJson, name: string): number {
  return Number(event[name] ?? 0)
}
