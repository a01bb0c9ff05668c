/** The settings of a correlator: what may be set, the defaults, and what is wrong with a value. */
import { CorrelatorError } from './errors.ts'

const MIB = 1024 * 1024

/** PEM files. With them every peer must show a certificate of `ca`. */
export interface TlsFiles {
  ca: string
  cert: string
  key: string
}

/** Every setting, as in the configuration file. `*_max` in bytes or pieces, `*_ms` milliseconds. */
export interface CorrelatorSettings {
  /** host:port of gRPC: ingest and query. Port 0: chosen by the system. */
  listen: string
  /** host:port of /metrics, /livez and /readyz. */
  listen_http: string
  /** Folder of log/, incidents/ and snapshots/. */
  data: string
  /** Policy file; absent: the learning default. */
  policy?: string
  log_bytes_max: number
  incidents_bytes_max: number
  segment_bytes_max: number
  /** Every instance of Alertmanager, not a load balancer in front of them. */
  alertmanager_urls: string[]
  /** Label of every alert; the same in all correlators of one cluster. */
  cluster: string
  alert_resend_interval_ms: number
  /** Alerts that may wait for one Alertmanager. */
  alerts_pending_max: number
  /** Base of the links in alerts; absent: the HTTP address of this correlator. */
  external_url?: string
  /** Base of the runbooks in alerts; absent: /runbooks of external_url. */
  runbook_url?: string
  /** Kubernetes API, for names; absent: that of the cluster that it runs in. `off`: none. */
  kubernetes_api?: string
  kubernetes_token_file?: string
  kubernetes_ca_file?: string
  streams_max: number
  /** Nodes, and boots of nodes, that are remembered. */
  nodes_max: number
  batches_in_flight_max: number
  batch_bytes_max: number
  /** Memory for batches between their arrival and the detectors, decompressed. */
  ingest_bytes_max: number
  tls?: TlsFiles
  /** Names in certificates, CN or DNS, that may read; empty: every certificate of the CA. */
  query_clients: string[]
}

/** What must be given; the rest has defaults. */
export type CorrelatorConfig = Partial<CorrelatorSettings> & { data: string }

const DEFAULTS: Omit<CorrelatorSettings, 'data'> = {
  listen: '127.0.0.1:7411',
  listen_http: '127.0.0.1:7412',
  log_bytes_max: 8192 * MIB,
  incidents_bytes_max: 128 * MIB,
  segment_bytes_max: 64 * MIB,
  alertmanager_urls: [],
  cluster: 'default',
  alert_resend_interval_ms: 60_000,
  alerts_pending_max: 10_000,
  streams_max: 4096,
  nodes_max: 16_384,
  batches_in_flight_max: 16,
  batch_bytes_max: 4 * MIB,
  ingest_bytes_max: 64 * MIB,
  query_clients: [],
}

const RANGES: Partial<Record<keyof CorrelatorSettings, [min: number, max: number]>> = {
  log_bytes_max: [64 * 1024, Number.MAX_SAFE_INTEGER],
  incidents_bytes_max: [64 * 1024, 4096 * MIB],
  segment_bytes_max: [4096, 4096 * MIB],
  alert_resend_interval_ms: [100, 3_600_000],
  alerts_pending_max: [1, 1_000_000],
  streams_max: [1, 65_536],
  nodes_max: [1, 1_000_000],
  batches_in_flight_max: [1, 1024],
  batch_bytes_max: [1024, 16 * MIB],
  ingest_bytes_max: [1024, 4096 * MIB],
}

/** Defaults filled in and everything checked. Throws CONFIG_INVALID with all problems at once. */
export function correlatorSettings(config: CorrelatorConfig): CorrelatorSettings {
  const given = Object.entries(config).filter(([, value]) => value !== undefined)
  const settings: CorrelatorSettings = {
    ...DEFAULTS, ...Object.fromEntries(given), data: config.data,
  }
  const problems = [
    ...given.filter(([name]) => !KNOWN.has(name)).map(([name]) => `${name}: no such setting`),
    ...textProblems(settings), ...readerProblems(settings), ...rangeProblems(settings),
    ...urlProblems(settings),
  ]
  if (problems.length > 0) {
    throw new CorrelatorError('CONFIG_INVALID', `correlator settings: ${problems.join('; ')}`)
  }
  return settings
}

const KNOWN = new Set([
  ...Object.keys(DEFAULTS), 'data', 'policy', 'external_url', 'runbook_url', 'tls',
  'kubernetes_api', 'kubernetes_token_file', 'kubernetes_ca_file',
])

/** Host and port of `host:port` or `[v6]:port`; null when it is neither. */
export function hostPort(text: string): { host: string, port: number } | null {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (match === null || port > 65_535) return null
  return { host: match[1] ?? match[2], port }
}

function textProblems(settings: CorrelatorSettings): string[] {
  const problems: string[] = []
  for (const name of ['listen', 'listen_http'] as const) {
    const value: unknown = settings[name]
    if (typeof value === 'string' && hostPort(value) !== null) continue
    problems.push(`${name} is ${JSON.stringify(value)}; it must be host:port, such as `
      + '127.0.0.1:7411')
  }
  const paths = ['data', 'policy', 'kubernetes_token_file', 'kubernetes_ca_file'] as const
  for (const name of paths) {
    const value: unknown = settings[name]
    if (value === undefined && name !== 'data') continue
    if (typeof value === 'string' && value !== '') continue
    problems.push(`${name} is ${JSON.stringify(value)}; it must be a path`)
  }
  if (!/^[\x21-\x7e]{1,63}$/.test(String(settings.cluster))) {
    problems.push('cluster must be 1 to 63 ASCII characters without blanks')
  }
  const { tls } = settings
  for (const name of ['ca', 'cert', 'key'] as const) {
    if (tls === undefined || (typeof tls[name] === 'string' && tls[name] !== '')) continue
    problems.push(`tls.${name} is missing; it must be the path of a PEM file`)
  }
  return problems
}

function readerProblems({ query_clients: clients, tls }: CorrelatorSettings): string[] {
  if (!Array.isArray(clients) || clients.some((name) => typeof name !== 'string' || name === '')) {
    return [`query_clients is ${JSON.stringify(clients)}; it must be a list of names in `
      + 'certificates']
  }
  return clients.length > 0 && tls === undefined
    ? ['query_clients names certificates, which nobody shows without tls; set tls, too'] : []
}

function rangeProblems(settings: CorrelatorSettings): string[] {
  const problems: string[] = []
  for (const [name, [min, max]] of Object.entries(RANGES)) {
    const value: unknown = settings[name as keyof CorrelatorSettings]
    if (Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max) continue
    problems.push(`${name} is ${JSON.stringify(value)}; it must be a whole number from ${min} `
      + `to ${max}`)
  }
  if (settings.ingest_bytes_max < settings.batch_bytes_max) {
    problems.push('ingest_bytes_max must be at least batch_bytes_max')
  }
  return problems
}

function urlProblems(settings: CorrelatorSettings): string[] {
  const urls: unknown[] = Array.isArray(settings.alertmanager_urls)
    ? settings.alertmanager_urls : [settings.alertmanager_urls]
  const all: [string, unknown][] = urls.map((url) => ['alertmanager_urls', url])
  for (const name of ['external_url', 'runbook_url'] as const) {
    if (settings[name] !== undefined) all.push([name, settings[name]])
  }
  return all.filter(([, url]) => !isHttpUrl(url)).map(([name, url]) =>
    `${name}: ${JSON.stringify(url)} is not a URL such as http://alertmanager:9093`)
}

function isHttpUrl(url: unknown): boolean {
  if (typeof url !== 'string' || !URL.canParse(url)) return false
  return /^https?:$/.test(new URL(url).protocol)
}
