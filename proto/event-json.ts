import type { Event } from './batch-cursor.ts'
import { kindInfos } from './gen/events.ts'

/** JSON shape of an event: docs/events.md. Keys without a value are left out. */
export type EventJson = Record<string, string | number | boolean | string[]>

const fieldsOfKind = new Map(kindInfos.map((info) => [info.kind, info.fields]))
const processFields = ['ppid', 'uid', 'comm', 'exe'] as const
/** Known also of what no process is known of: a connection without one, a flood of a cgroup. */
const cgroupFields = ['cgroup_path', 'workload', 'cgroup_id'] as const

/** The event as a flat object with snake_case keys; 64-bit ids become strings of digits. */
export function eventJson(event: Event): EventJson {
  const json: EventJson = {
    time: formatTime(event.wall_ns),
    node_id: event.node_id,
    boot_id: event.boot_id,
    seq: event.seq,
    kind: event.kind,
  }
  if (event.pid !== 0) {
    json['pid'] = event.pid
    json['process_id'] = event.process_id
    json['parent_process_id'] = event.parent_process_id
    for (const name of processFields) put(json, name, event[name])
  }
  for (const name of cgroupFields) put(json, name, event[name])
  for (const name of fieldsOfKind.get(event.kind) ?? []) {
    put(json, name, (event as unknown as Record<string, EventValue>)[name])
  }
  return json
}

type EventValue = string | number | bigint | boolean | string[]

function put(json: EventJson, name: string, value: EventValue): void {
  if (typeof value === 'bigint') {
    if (value !== 0n) json[name] = value.toString()
  } else if (value !== '') json[name] = value
}

/** RFC 3339 in UTC with nanoseconds, from nanoseconds since 1970. */
export function formatTime(ns: bigint): string {
  const seconds = ns / 1_000_000_000n
  const date = new Date(Number(seconds) * 1000).toISOString()
  const fraction = (ns % 1_000_000_000n).toString().padStart(9, '0')
  return `${date.slice(0, 19)}.${fraction}Z`
}
