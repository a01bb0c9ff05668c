/** Command line settings as the configuration records of the two halves. */
import type { AgentConfig } from '../agent/config.ts'
import type { CorrelatorConfig } from '../correlator/config.ts'
import { CliError } from './errors.ts'
import type { SettingName, Values } from './settings.ts'

const KUBERNETES_SETTINGS: readonly SettingName[] = [
  'kubernetes_api', 'kubernetes_token_file', 'kubernetes_ca_file',
]

export const AGENT_SETTINGS: readonly SettingName[] = [
  'node_id', 'node_group', ...KUBERNETES_SETTINGS, 'scope_cgroup', 'spool_bytes_max',
  'ring_bytes', 'sockets_max', 'flows_max', 'flush_interval_ms', 'heartbeat_interval_ms',
  'events_per_batch_max', 'cgroup_quota_per_s', 'connection_repeats_per_s',
  'gpu_root', 'gpu_library', 'gpu_interval_ms', 'gpu_evidence', 'artifact_bytes_per_second',
  'artifact_bytes_per_day',
]

export const CORRELATOR_SETTINGS: readonly SettingName[] = [
  ...KUBERNETES_SETTINGS, 'policy', 'listen', 'listen_http', 'alertmanager', 'cluster',
  'external_url', 'runbook_url', 'alert_resend_interval_ms', 'alerts_pending_max', 'log_bytes_max',
  'segment_bytes_max', 'incidents_bytes_max', 'streams_max', 'nodes_max', 'batches_in_flight_max',
  'batch_bytes_max', 'ingest_bytes_max', 'query_clients',
]

export const TLS_SETTINGS: readonly SettingName[] = ['tls_ca', 'tls_cert', 'tls_key']

/** PEM files of both halves; undefined without TLS. Throws CLI_USAGE when only some are named. */
export function tlsOf(
  { tls_ca: ca, tls_cert: cert, tls_key: key }: Values,
): { ca: string, cert: string, key: string } | undefined {
  if (ca === undefined && cert === undefined && key === undefined) return undefined
  if (ca === undefined || cert === undefined || key === undefined) {
    throw new CliError('CLI_USAGE', 'TLS needs all of --tls-ca, --tls-cert and --tls-key')
  }
  return { ca, cert, key }
}

/** The settings of an agent that were set; the agent itself knows its defaults and bounds. */
export function agentConfig(
  values: Values, correlator: string, data: string,
): Partial<AgentConfig> {
  const given = Object.fromEntries(AGENT_SETTINGS.map((name) => [name, values[name]]))
  return { ...given, correlator, data, tls: tlsOf(values) }
}

/** The settings of a correlator that were set; it knows its defaults and bounds. */
export function correlatorConfig(values: Values, data: string): CorrelatorConfig {
  const names = CORRELATOR_SETTINGS.filter((name) => name !== 'alertmanager')
  const given = Object.fromEntries(names.map((name) => [name, values[name]]))
  return { ...given, alertmanager_urls: values.alertmanager, data, tls: tlsOf(values) }
}
