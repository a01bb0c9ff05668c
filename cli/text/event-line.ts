import type { EventJson } from '../../proto/event-json.ts'
import { factsOf } from './event-facts.ts'
import { printable } from './printable.ts'

const KIND_COLUMNS = 17
const NODE_COLUMNS = 12

/**
 * One event as one line without colours: local time of day, node, kind, process, what happened.
 * Texts of workloads are made safe for a screen; the caller cuts the line to the screen.
 */
export function eventLine(event: EventJson): string {
  const time = localTime(text(event['time']))
  const node = printable(text(event['node_id'])).padEnd(NODE_COLUMNS)
  const kind = text(event['kind']).padEnd(KIND_COLUMNS)
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
  return `${printable(text(event['comm']))}[${event['pid']}] `
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
