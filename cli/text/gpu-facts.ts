import type { EventJson } from '../../proto/event-json.ts'
import { formatBytes, formatCount, formatDuration } from './time.ts'

/** Per kind about GPUs: what its event says, in words. */
export const gpuFacts = {
  gpu_device_open: deviceOpenFacts,
  gpu_call: callFacts,
  gpu_xid: xidFacts,
  kernel_module: moduleFacts,
  firmware_load: firmwareFacts,
  runtime_hook: hookFacts,
  driver_setting: settingFacts,
  gpu_state: stateFacts,
  gpu_evidence: evidenceFacts,
  baseline_applied: baselineFacts,
}

/** `control GPU_SET_ECC_CONFIGURATION on nvidia 195:0, 3 ×` */
function callFacts(event: EventJson): string {
  const number = numberOf(event, 'command') || numberOf(event, 'escape')
  const name = text(event, 'command_name') || text(event, 'escape_name') ||
    `0x${number.toString(16)}`
  const calls = numberOf(event, 'count')
  const span = numberOf(event, 'duration_ns')
  return `${text(event, 'call_kind')} ${name} on ${text(event, 'family')} ${deviceOf(event)}` +
    (numberOf(event, 'target_pid') > 0 ? ` of process ${numberOf(event, 'target_pid')}` : '') +
    (calls > 1 ? `, ${formatCount(calls)} ×` : '') +
    (span > 0 ? ` in ${formatDuration(span / 1e6)}` : '') +
    (numberOf(event, 'refused') > 0 ? `, ${formatCount(numberOf(event, 'refused'))} refused` : '') +
    (event['cap_sys_admin'] === true ? '' : ', unprivileged') + container(event)
}

function deviceOpenFacts(event: EventJson): string {
  return `${text(event, 'path')} ${deviceOf(event)}` +
    (event['at_start'] === true ? ' (was open)' : '') + container(event)
}

function xidFacts(event: EventJson): string {
  const name = text(event, 'xid_name')
  return `${text(event, 'pci_address')} ${event['is_switch'] === true ? 'SXid' : 'Xid'} ` +
    `${numberOf(event, 'xid')}${name === '' ? '' : ` ${name}`}: ${text(event, 'text')}`
}

function moduleFacts(event: EventJson): string {
  const signed = { yes: ', signed', no: ', not signed' }[text(event, 'signature_trusted')] ?? ''
  const from = text(event, 'path')
  return `${text(event, 'action')} ${text(event, 'module')} ${text(event, 'version')}`.trimEnd() +
    signed + (from === '' ? '' : ` from ${from}`) + container(event)
}

function firmwareFacts(event: EventJson): string {
  const error = numberOf(event, 'error')
  return `${text(event, 'firmware')} for ${text(event, 'device_name')}` +
    (error > 0 ? `: error ${error}`
      : ` from ${text(event, 'path')} (${formatBytes(numberOf(event, 'file_bytes'))})`)
}

function hookFacts(event: EventJson): string {
  const variable = text(event, 'variable')
  return (variable === '' ? 'mapped ' : `${variable}=`) + text(event, 'value') + container(event)
}

function settingFacts(event: EventJson): string {
  return `${text(event, 'setting')} = ${text(event, 'value').trim()}${container(event)}`
}

/** `gpu:GPU-… ecc_mode: enabled → disabled, after gpu_call GPU_SET_ECC_CONFIGURATION` */
function stateFacts(event: EventJson): string {
  const known = text(event, 'reading') === 'known'
  const value = known ? text(event, 'value')
    : [text(event, 'reading').replaceAll('_', ' '), text(event, 'reason')]
      .filter((part) => part !== '').join(': ')
  const old = text(event, 'old_value')
  const actor = text(event, 'actor_kind')
  return `${text(event, 'subject')} ${text(event, 'item')}: ` +
    (old === '' ? value : `${old} → ${value}`) +
    (actor === '' ? '' : `, after ${actor} ${text(event, 'actor_action')}`.trimEnd())
}

function evidenceFacts(event: EventJson): string {
  const reason = text(event, 'reason')
  return `${text(event, 'subject')} ${reason === '' ? 'report and certificates' : reason}`
}

function baselineFacts(event: EventJson): string {
  const key = text(event, 'key_id')
  return `${text(event, 'node_class')} ${text(event, 'sha256').slice(0, 12)} ` +
    (key === '' ? 'not signed' : `signed by ${key}`)
}

/** Major and minor number, as `ls -l` shows them. */
function deviceOf(event: EventJson): string {
  const device = numberOf(event, 'device')
  return `${device >>> 20}:${device & 0xfffff}`
}

function container(event: EventJson): string {
  return event['in_container'] === true ? ' (in a container)' : ''
}

function text(event: EventJson, name: string): string {
  const value = event[name]
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : ''
}

function numberOf(event: EventJson, name: string): number {
  const value = Number(event[name])
  return Number.isFinite(value) ? value : 0
}
