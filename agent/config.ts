// The settings of the agent: checked once, with every problem named.

import { hostname } from 'node:os'
import { AgentError } from './errors.ts'

/** Shape and units; see `defaults`. */
export interface AgentConfig {
  /** Name that events carry. */
  node_id: string
  /** `host:port` of the correlator. */
  correlator: string
  /** Folder; the spool lies in it. */
  data: string
  /** `host:port` of /metrics, /livez and /readyz; port 0 is chosen by the system. */
  listen_http: string
  /** Watch only this cgroup v2 (path below the mount) and those below it. */
  scope_cgroup?: string
  spool_bytes_max: number
  /** A power of two. */
  ring_bytes: number
  /** Open connections of which the identity is kept. */
  sockets_max: number
  /** Datagram flows that are counted at the same time. */
  flows_max: number
  /** Records that a cgroup may make per second: of connections, of processes, and of the rest. */
  cgroup_quota_per_s: number
  /** Like connections of a process to one peer that are told per second; the rest are counted. */
  connection_repeats_per_s: number
  /** Group of the node, for zones; '' when none is set. */
  node_group: string
  /** Kubernetes API, for names; absent: that of the cluster that it runs in. `off`: none. */
  kubernetes_api?: string
  kubernetes_token_file?: string
  kubernetes_ca_file?: string
  /** Where the root of the node is mounted; '/' unless the agent is in an image of its own. */
  gpu_root: string
  /** Name or path of NVML. */
  gpu_library: string
  /** How often the state of GPUs is read without a reason. */
  gpu_interval_ms: number
  /** Ask every GPU for attestation evidence at the start. */
  gpu_evidence: boolean
  /** Of artifacts, to compare them with their manifests; 0: none is read. */
  artifact_bytes_per_second: number
  artifact_bytes_per_day: number
  /** Longest time that an event waits for its batch to leave. */
  flush_interval_ms: number
  heartbeat_interval_ms: number
  events_per_batch_max: number
  /** PEM files. */
  tls?: { ca: string, cert: string, key: string }
}

const MIB = 1024 * 1024
const GIB = 1024 * MIB

/** What is used for settings that are left out; `correlator` and `data` have no default. */
export const defaults = {
  listen_http: '127.0.0.1:7413',
  spool_bytes_max: 256 * MIB,
  ring_bytes: 16 * MIB,
  sockets_max: 65_536,
  flows_max: 65_536,
  cgroup_quota_per_s: 20_000,
  connection_repeats_per_s: 10,
  gpu_root: '/',
  gpu_library: 'libnvidia-ml.so.1',
  gpu_interval_ms: 60_000,
  gpu_evidence: false,
  artifact_bytes_per_second: 32 * MIB,
  artifact_bytes_per_day: 512 * GIB,
  flush_interval_ms: 200,
  heartbeat_interval_ms: 5000,
  events_per_batch_max: 8192,
  node_group: '',
} as const

const ranges: Partial<Record<keyof AgentConfig, [min: number, max: number]>> = {
  spool_bytes_max: [8 * MIB, 1024 ** 4],
  ring_bytes: [64 * 1024, 1024 * MIB],
  sockets_max: [1, 2 ** 24],
  flows_max: [1, 2 ** 24],
  cgroup_quota_per_s: [0, 1e9],
  connection_repeats_per_s: [0, 1e9],
  gpu_interval_ms: [1000, 86_400_000],
  artifact_bytes_per_second: [0, 64 * GIB],
  artifact_bytes_per_day: [0, 1024 ** 5],
  flush_interval_ms: [1, 60_000],
  heartbeat_interval_ms: [100, 600_000],
  events_per_batch_max: [1, 65_536],
}
const texts = ['node_id', 'correlator', 'data', 'listen_http', 'scope_cgroup', 'gpu_root',
  'gpu_library'] as const
const optional = ['node_group', 'kubernetes_api', 'kubernetes_token_file', 'kubernetes_ca_file']
const known = new Set<string>([...texts, ...optional, ...Object.keys(ranges), 'tls',
  'gpu_evidence'])

/** Checked settings, defaults filled in. Throws AgentError AGENT_CONFIG naming every problem. */
export function checkConfig(given: Partial<AgentConfig>): AgentConfig {
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  const config = { node_id: hostname(), ...defaults, ...set } as AgentConfig
  const problems = [
    ...Object.keys(set).filter((key) => !known.has(key)).map((key) => `${key} is no setting`),
    ...texts.flatMap((key) => checkText(key, config[key])),
    ...optional.filter((key) => typeof (set[key] ?? '') !== 'string')
      .map((key) => `${key} must be a text`),
    ...Object.entries(ranges).flatMap(([key, range]) =>
      checkNumber(key, config[key as keyof AgentConfig], range)),
    ...checkMore(config),
  ]
  if (problems.length > 0) throw new AgentError('AGENT_CONFIG', problems.join('; '))
  return config
}

function checkText(key: typeof texts[number], value: unknown): string[] {
  if (value === undefined) return key === 'scope_cgroup' ? [] : [`${key} is missing`]
  if (typeof value !== 'string' || value === '') return [`${key} must be a text`]
  if (key === 'node_id' && !/^[\x21-\x7e]{1,253}$/.test(value)) {
    return [`node_id ${JSON.stringify(value.slice(0, 80))} must be 1 to 253 ASCII characters ` +
      'without blanks']
  }
  if ((key === 'correlator' || key === 'listen_http') && !splitAddress(value)) {
    return [`${key} ${JSON.stringify(value.slice(0, 80))} must be host:port, such as 10.0.0.1:7411`]
  }
  return []
}

function checkNumber(key: string, value: unknown, [min, max]: [number, number]): string[] {
  if (Number.isInteger(value) && Number(value) >= min && Number(value) <= max) return []
  return [`${key} is ${JSON.stringify(value)}; it must be a whole number from ${min} to ${max}`]
}

function checkMore({ ring_bytes: ringBytes, tls, gpu_evidence }: AgentConfig): string[] {
  const problems: string[] = []
  if (typeof gpu_evidence !== 'boolean') problems.push('gpu_evidence must be true or false')
  if (Number.isInteger(ringBytes) && !Number.isInteger(Math.log2(ringBytes))) {
    problems.push(`ring_bytes is ${ringBytes}; it must be a power of two`)
  }
  for (const key of tls === undefined ? [] : ['ca', 'cert', 'key'] as const) {
    if (typeof tls?.[key] !== 'string') problems.push(`tls.${key} must be the path of a PEM file`)
  }
  return problems
}

/** `host:port` or `[v6]:port` as its two parts; undefined when it is neither. */
export function splitAddress(text: string): { host: string, port: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  return match && port <= 65_535 ? { host: match[1] ?? match[2], port } : undefined
}
