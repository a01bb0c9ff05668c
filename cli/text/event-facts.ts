import type { EventKind } from '../../proto/gen/events.ts'
import type { EventJson } from '../../proto/event-json.ts'
import { gpuFacts } from './gpu-facts.ts'
import { shellWord } from './printable.ts'
import { storeFacts } from './store-facts.ts'
import { formatBytes, formatCount, formatDuration } from './time.ts'

const ARROW = { outgoing: '→', accepted: '←' } as const

/** What an event says beside who and when, in words. Not made safe for a screen yet. */
export function factsOf(event: EventJson): string {
  return FACTS[event['kind'] as EventKind]?.(event) ?? ''
}

const FACTS: { [K in EventKind]: (event: EventJson) => string } = {
  process_exec: execFacts,
  process_exit: (event) => `${exitOf(event)} after ${during(event, 'lifetime_ns')}`,
  process_orphan: (event) => `lost its parent ${count(event, 'ppid')}`,
  process_stdio: (event) => `${ends(event)} is its ${descriptorsOf(event)}`,
  connection_open: (event) => ends(event) + atStart(event),
  connection_close: (event) =>
    `${ends(event)}${amounts(event)} in ${during(event, 'duration_ns')}${errorOf(event)}`,
  connection_totals: (event) => `${ends(event)}${amounts(event)} so far`,
  connection_failed: (event) => `${ends(event)}${errorOf(event) || ' given up'}`,
  listen: (event) => `${text(event, 'protocol')} ${endOf(event, 'local')}${atStart(event)}`,
  datagram_flow: (event) => `${text(event, 'protocol')} ${ends(event)}${amounts(event)}` +
    (event['report'] === 'first' ? '' : ` in ${during(event, 'duration_ns')}`),
  connection_repeat: (event) => `${ends(event)} ${formatCount(count(event, 'opened'))} opened, ` +
    `${formatCount(count(event, 'failed'))} failed in ${during(event, 'duration_ns')}` +
    amounts(event),
  unix_connection: (event) => `${event['abstract'] === true ? '@' : ''}${text(event, 'path')}` +
    ` of process ${count(event, 'peer_pid')}`,
  vsock_connection: (event) => `${count(event, 'local_cid')}:${count(event, 'local_port')} ` +
    `${arrowOf(event)} ${count(event, 'remote_cid')}:${count(event, 'remote_port')}` +
    (count(event, 'error') > 0 ? errorOf(event) : amounts(event)),
  raw_socket: (event) => (FAMILIES[count(event, 'family')] ?? `family ${text(event, 'family')}`) +
    ` protocol ${count(event, 'protocol_number')}${atStart(event)}`,
  socket_received: (event) => `${ends(event)} of process ${count(event, 'owner_pid')} by ` +
    text(event, 'mechanism'),
  rdma_connection: (event) => `${text(event, 'device')} qp ${count(event, 'qp_num')} ` +
    `${ends(event)} qp ${count(event, 'remote_qp_num')} ${text(event, 'report')}`,
  cgroup_flood: (event) => `${formatCount(lostOf(event))} records over the quota of ` +
    `${formatCount(count(event, 'quota_per_s'))}/s in ${during(event, 'duration_ns')}`,
  dns_answer: (event) => `${text(event, 'name')} is ${list(event, 'addresses') || 'nothing'}`,
  secret_read: (event) => `${text(event, 'secret')} ${text(event, 'path')}`,
  shared_file_written: (event) =>
    text(event, 'path') + (event['executable'] === true ? ' (executable)' : ''),
  agent_start: (event) => `agent ${text(event, 'version')} on ${text(event, 'kernel_release')}`,
  probe_state: (event) => ['probe', 'state', 'attach_type'].map((name) => text(event, name))
    .join(' ').trimEnd() + (text(event, 'lost') === '' ? '' : `, lost: ${text(event, 'lost')}`),
  gap: (event) => `${formatCount(count(event, 'count'))} × ${text(event, 'event_kind')} lost at ` +
    `${text(event, 'stage')}: ${text(event, 'reason')}`,
  heartbeat: (event) => `${formatBytes(count(event, 'resident_bytes'))} resident, ` +
    `${formatCount(count(event, 'events_lost'))} events lost, ` +
    `${formatBytes(count(event, 'spool_bytes'))} in the spool`,
  ledger: (event) => `${text(event, 'event_kind')}: ${formatCount(count(event, 'produced'))} ` +
    `produced, ${formatCount(count(event, 'stored'))} stored, ` +
    `${formatCount(count(event, 'lost'))} lost`,
  workload_seen: (event) => `${text(event, 'workload')} is ${text(event, 'cgroup_path')}` +
    factsFrom(event),
  address_seen: (event) => `${text(event, 'seen_addr')}${portOf(event)} is ` +
    `${event['gone'] === true ? 'no longer ' : ''}${text(event, 'workload')}`,
  node_seen: (event) => `${text(event, 'node_group')} ${list(event, 'addresses')}`.trim(),
  policy_applied: (event) =>
    `${text(event, 'sha256').slice(0, 12)} ${text(event, 'path') || 'learning'}`,
  ...gpuFacts,
  ...storeFacts,
}

const FAMILIES: Record<number, string> = { 2: 'IPv4', 10: 'IPv6', 17: 'packet' }

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

function exitOf(event: EventJson): string {
  const signal = count(event, 'exit_signal')
  return signal > 0 ? `signal ${signal}` : `status ${count(event, 'exit_code')}`
}

function descriptorsOf(event: EventJson): string {
  const bits = count(event, 'descriptors')
  return ['input', 'output', 'error'].filter((_, bit) => (bits & (1 << bit)) !== 0).join(', ')
}

function factsFrom(event: EventJson): string {
  const names = [text(event, 'namespace'), text(event, 'pod_name'), text(event, 'slurm_partition'),
    text(event, 'slurm_user'), text(event, 'slurm_job_name')].filter((name) => name !== '')
  return names.length === 0 ? '' : ` (${names.join('/')})`
}

function lostOf(event: EventJson): number {
  return Object.keys(event).filter((name) => name.startsWith('lost_'))
    .reduce((sum, name) => sum + count(event, name), 0)
}

function portOf(event: EventJson): string {
  return count(event, 'port') > 0 ? `:${count(event, 'port')}` : ''
}

function amounts(event: EventJson): string {
  return ` sent ${formatBytes(count(event, 'bytes_sent'))}, received ` +
    formatBytes(count(event, 'bytes_received'))
}

function atStart(event: EventJson): string {
  return event['at_start'] === true ? ' (was there)' : ''
}

function arrowOf(event: EventJson): string {
  return event['direction'] === 'accepted' ? ARROW.accepted : ARROW.outgoing
}

/** `10.0.0.1:4242 → 10.0.0.2:80 pod:data/store-0 (training → storage)` */
function ends(event: EventJson): string {
  const arrow = arrowOf(event)
  const zone = text(event, 'zone')
  const remoteZone = text(event, 'remote_zone')
  const zones = zone === '' || zone === remoteZone ? '' : ` (${zone} ${arrow} ${remoteZone})`
  const name = text(event, 'remote_workload')
  const far = `${endOf(event, 'remote')}${name === '' ? '' : ` ${name}`}`
  return `${endOf(event, 'local')} ${arrow} ${far}${zones}`
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

function during(event: EventJson, name: string): string {
  return formatDuration(count(event, name) / 1e6)
}

function list(event: EventJson, name: string): string {
  const value = event[name]
  if (!Array.isArray(value)) return ''
  return value.slice(0, 4).join(', ') + (value.length > 4 ? ', …' : '')
}

function text(event: EventJson, name: string): string {
  const value = event[name]
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : ''
}

function count(event: EventJson, name: string): number {
  const value = Number(event[name])
  return Number.isFinite(value) ? value : 0
}
