import type { EventJson } from '../../proto/event-json.ts'
import { formatBytes, formatCount, formatDuration } from './time.ts'
import { printable, shellWord } from './printable.ts'

const KIND_COLUMNS = 17
const NODE_COLUMNS = 12
const ARROW = { outgoing: '→', accepted: '←' } as const

/**
 * One event as one line without colours: local time of day, node, kind, process, what happened.
 * Texts of workloads are made safe for a screen; the caller cuts the line to the screen.
 */
export function eventLine(event: EventJson): string {
  const time = localTime(text(event, 'time'))
  const node = printable(text(event, 'node_id')).padEnd(NODE_COLUMNS)
  const kind = text(event, 'kind').padEnd(KIND_COLUMNS)
  return `${time}  ${node}  ${kind}  ${processOf(event)}${printable(factsOf(event))}`.trimEnd()
}

/** `12:34:56.789` in the time zone of whoever looks, from RFC 3339. */
export function localTime(time: string): string {
  const date = new Date(time)
  if (Number.isNaN(date.getTime())) return '??:??:??.???'
  const two = (part: number): string => String(part).padStart(2, '0')
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}` +
    `.${String(date.getMilliseconds()).padStart(3, '0')}`
}

function processOf(event: EventJson): string {
  if (event['pid'] === undefined) return ''
  return `${printable(text(event, 'comm'))}[${event['pid']}] `
}

function factsOf(event: EventJson): string {
  switch (event['kind']) {
    case 'process_exec': return execFacts(event)
    case 'process_exit': return exitFacts(event)
    case 'connection_open': return ends(event)
    case 'connection_close':
      return `${ends(event)} sent ${formatBytes(count(event, 'bytes_sent'))}, received ` +
        `${formatBytes(count(event, 'bytes_received'))} in ` +
        `${formatDuration(count(event, 'duration_ns') / 1e6)}${errorOf(event)}`
    case 'connection_failed': return `${ends(event)}${errorOf(event) || ' given up'}`
    case 'agent_start':
      return `agent ${text(event, 'version')} on ${text(event, 'kernel_release')}`
    case 'probe_state':
      return ['probe', 'state', 'attach_type'].map((name) => text(event, name)).join(' ')
        .trimEnd() + (text(event, 'lost') === '' ? '' : `, lost: ${text(event, 'lost')}`)
    case 'gap':
      return `${formatCount(count(event, 'count'))} × ${text(event, 'event_kind')} lost at ` +
        `${text(event, 'stage')}: ${text(event, 'reason')}`
    case 'heartbeat':
      return `${formatBytes(count(event, 'resident_bytes'))} resident, ` +
        `${formatCount(count(event, 'events_lost'))} events lost, ` +
        `${formatBytes(count(event, 'spool_bytes'))} in the spool`
    case 'ledger':
      return `${text(event, 'event_kind')}: ${formatCount(count(event, 'produced'))} produced, ` +
        `${formatCount(count(event, 'stored'))} stored, ${formatCount(count(event, 'lost'))} lost`
    case 'workload_seen': return `${text(event, 'workload')} is ${text(event, 'cgroup_path')}`
    case 'policy_applied':
      return `${text(event, 'sha256').slice(0, 12)} ${text(event, 'path') || 'learning'}`
    default: return ''
  }
}

/** The executable and its arguments; both names where the program claims to be another one. */
function execFacts(event: EventJson): string {
  const exe = text(event, 'exe')
  const args = Array.isArray(event['args']) ? event['args'] : []
  const isHonest = args.length > 0 && args[0].split('/').at(-1) === exe.split('/').at(-1)
  const words = [isHonest ? '' : args.length > 0 ? 'as' : '', ...args.slice(isHonest ? 1 : 0)]
    .filter((word, i) => i > 0 || word !== '').map(shellWord).join(' ')
  const unlinked = event['exe_unlinked'] === true ? ' (no file on disk)' : ''
  const running = event['at_start'] === true ? ' (was running)' : ''
  return `${exe}${unlinked}${running}${words === '' ? '' : ` ${words}`}`
}

function exitFacts(event: EventJson): string {
  const signal = count(event, 'exit_signal')
  const how = signal > 0 ? `signal ${signal}` : `status ${count(event, 'exit_code')}`
  return `${how} after ${formatDuration(count(event, 'lifetime_ns') / 1e6)}`
}

/** `10.0.0.1:4242 → 10.0.0.2:80 (training → storage)` */
function ends(event: EventJson): string {
  const arrow = event['direction'] === 'accepted' ? ARROW.accepted : ARROW.outgoing
  const zone = text(event, 'zone')
  const remoteZone = text(event, 'remote_zone')
  const zones = zone === '' || zone === remoteZone ? '' : ` (${zone} ${arrow} ${remoteZone})`
  return `${endOf(event, 'local')} ${arrow} ${endOf(event, 'remote')}${zones}`
}

function endOf(event: EventJson, side: 'local' | 'remote'): string {
  const address = text(event, `${side}_addr`)
  return `${address.includes(':') ? `[${address}]` : address}:${count(event, `${side}_port`)}`
}

function errorOf(event: EventJson): string {
  const error = count(event, 'error')
  return error === 0 ? '' : ` ${ERRORS[error] ?? `error ${error}`}`
}

/** The errors that connections end with; errno of Linux. */
const ERRORS: Record<number, string> = {
  32: 'broken pipe', 101: 'network unreachable', 103: 'aborted', 104: 'reset', 110: 'timed out',
  111: 'refused', 112: 'host down', 113: 'no route',
}

function text(event: EventJson, name: string): string {
  const value = event[name]
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : ''
}

function count(event: EventJson, name: string): number {
  const value = Number(event[name])
  return Number.isFinite(value) ? value : 0
}
