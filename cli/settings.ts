/**
 * Every setting of the command line, once: its flag, its meaning, its default. The name is the key
 * in the configuration file; `VEDETTE_` and the name in capitals is the environment variable.
 */

/** One setting. `flag` is what the flag takes; a switch takes nothing. */
export interface Setting {
  kind: 'text' | 'count' | 'bytes' | 'list' | 'switch'
  /** Placeholder of the value in the help. */
  value?: string
  help: string
  /** In force when nobody sets it. */
  default?: string
  /** Default as the help shows it, for settings whose default lies with agent or correlator. */
  shown?: string
  choices?: readonly string[]
  /** Belongs to one call of a command: neither environment nor file can set it. */
  callOnly?: true
}

const ADDRESS = 'host:port'

export const SETTINGS = {
  output: { kind: 'text', value: 'form', help: 'how to print data', default: 'text',
    choices: ['text', 'json'] },
  config: { kind: 'text', value: 'file', help: 'YAML file with settings, keys as in VEDETTE_*' },
  data: { kind: 'text', value: 'dir', help: 'data folder' },
  policy: { kind: 'text', value: 'file', help: 'policy file', shown: 'learning' },
  server: { kind: 'text', value: ADDRESS, help: 'correlator to ask', default: '127.0.0.1:7411' },

  listen: { kind: 'text', value: ADDRESS, help: 'gRPC for agents and readers; port 0: a free one',
    shown: '127.0.0.1:7411' },
  listen_http: { kind: 'text', value: ADDRESS,
    help: '/metrics, /livez and /readyz; port 0: a free one' },
  agent_listen_http: { kind: 'text', value: ADDRESS, help: 'the same of the agent',
    shown: '127.0.0.1:7413' },

  correlator: { kind: 'text', value: ADDRESS, help: 'correlator that gets the events' },
  node_id: { kind: 'text', value: 'name', help: 'name of this node', shown: 'host name' },
  node_group: { kind: 'text', value: 'name', help: 'group of this node, for zones' },
  kubernetes_api: { kind: 'text', value: 'url', help: 'for names of pods and services; or off',
    shown: 'the cluster it runs in' },
  kubernetes_token_file: { kind: 'text', value: 'file', help: 'bearer token for it' },
  kubernetes_ca_file: { kind: 'text', value: 'file', help: 'PEM: whom to trust there' },
  scope_cgroup: { kind: 'text', value: 'path', help: 'watch only this cgroup v2 and those below' },
  spool_bytes_max: { kind: 'bytes', value: 'bytes', help: 'disk for unsent events',
    shown: '256MiB' },
  ring_bytes: { kind: 'bytes', value: 'bytes', help: 'ring buffer, a power of two',
    shown: '16MiB' },
  sockets_max: { kind: 'count', value: 'n', help: 'connections followed at once', shown: '65536' },
  flows_max: { kind: 'count', value: 'n', help: 'datagram flows counted at once', shown: '65536' },
  cgroup_quota_per_s: { kind: 'count', value: 'n', help: 'events of a cgroup; 0: no limit',
    shown: '20000' },
  connection_repeats_per_s: { kind: 'count', value: 'n', help: 'like connections told one by one',
    shown: '10' },
  gpu_root: { kind: 'text', value: 'dir', help: 'where the root of the node is mounted',
    shown: '/' },
  gpu_library: { kind: 'text', value: 'file', help: 'library of NVML',
    shown: 'libnvidia-ml.so.1' },
  gpu_interval_ms: { kind: 'count', value: 'ms', help: 'how often the state of GPUs is read',
    shown: '60000' },
  gpu_evidence: { kind: 'switch', help: 'attestation evidence of every GPU at the start' },
  artifact_bytes_per_second: { kind: 'bytes', value: 'bytes', shown: '32MiB',
    help: 'of artifacts, to compare them with manifests' },
  artifact_bytes_per_day: { kind: 'bytes', value: 'bytes', help: 'and as much in a day',
    shown: '512GiB' },
  flush_interval_ms: { kind: 'count', value: 'ms', help: 'age at which a batch is sent',
    shown: '200' },
  heartbeat_interval_ms: { kind: 'count', value: 'ms', help: 'sign of life', shown: '5000' },
  events_per_batch_max: { kind: 'count', value: 'n', help: 'events in a batch', shown: '8192' },

  log_bytes_max: { kind: 'bytes', value: 'bytes', help: 'event log, oldest leave first',
    shown: '8GiB' },
  segment_bytes_max: { kind: 'bytes', value: 'bytes', help: 'one file of a log', shown: '64MiB' },
  incidents_bytes_max: { kind: 'bytes', value: 'bytes', help: 'incident log', shown: '128MiB' },
  alertmanager: { kind: 'list', value: 'url...', help: 'Alertmanagers, every instance' },
  cluster: { kind: 'text', value: 'name', help: 'label of every alert', shown: 'default' },
  external_url: { kind: 'text', value: 'url', help: 'base of the links in alerts' },
  runbook_url: { kind: 'text', value: 'url', help: 'where docs/runbooks can be read' },
  alert_resend_interval_ms: { kind: 'count', value: 'ms', help: 'how often an open alert is sent',
    shown: '60000' },
  alerts_pending_max: { kind: 'count', value: 'n', help: 'alerts waiting per Alertmanager',
    shown: '10000' },
  streams_max: { kind: 'count', value: 'n', help: 'agents and readers at once', shown: '4096' },
  nodes_max: { kind: 'count', value: 'n', help: 'nodes that are remembered', shown: '16384' },
  batches_in_flight_max: { kind: 'count', value: 'n', help: 'per agent', shown: '16' },
  batch_bytes_max: { kind: 'bytes', value: 'bytes', help: 'largest batch', shown: '4MiB' },
  ingest_bytes_max: { kind: 'bytes', value: 'bytes', help: 'memory for batches on their way',
    shown: '64MiB' },
  tls_ca: { kind: 'text', value: 'file', help: 'PEM: whom to trust; with it TLS is on' },
  tls_cert: { kind: 'text', value: 'file', help: 'PEM: own certificate' },
  tls_key: { kind: 'text', value: 'file', help: 'PEM: its key' },
  query_clients: { kind: 'list', value: 'name...', help: 'certificates that may read',
    shown: 'all of the CA' },

  quiet: { kind: 'switch', help: 'no live feed of events' },
  follow: { kind: 'switch', help: 'go on with what comes', callOnly: true },
  kind: { kind: 'list', value: 'kind...', help: 'only these kinds of event', callOnly: true },
  from: { kind: 'text', value: 'time', help: 'from then on', callOnly: true },
  to: { kind: 'text', value: 'time', help: 'until then', callOnly: true },
  node: { kind: 'list', value: 'name...', help: 'only these nodes', callOnly: true },
  read: { kind: 'text', value: 'store', help: 'who reads this store', callOnly: true },
  write: { kind: 'text', value: 'store', help: 'who changes this store', callOnly: true },
  limit: { kind: 'count', value: 'n', help: 'at most so many', callOnly: true },
  state: { kind: 'text', value: 'state', help: 'only incidents in this state',
    choices: ['open', 'closed'], callOnly: true },
  connections_min: { kind: 'count', value: 'n', help: 'fewer connections are rare', default: '2',
    callOnly: true },
  diff: { kind: 'switch', help: 'show every difference as JSON', callOnly: true },
  changes: { kind: 'switch', help: 'what changed, and when', callOnly: true },
  node_class: { kind: 'text', value: 'name', help: 'class of nodes that it is for', default: 'gpu',
    callOnly: true },
  key: { kind: 'text', value: 'file', help: 'private key of Ed25519, PEM', callOnly: true },
  evidence: { kind: 'text', value: 'file', help: 'JSON with evidence of a GPU', callOnly: true },
  strict: { kind: 'switch', help: 'what cannot be known is a difference', callOnly: true },
  wait: { kind: 'count', value: 's', help: 'how long to wait for the incident', default: '10',
    callOnly: true },
} as const satisfies Record<string, Setting>

export type SettingName = keyof typeof SETTINGS

type ValueOf<Kind> = Kind extends 'switch' ? boolean : Kind extends 'list' ? string[]
  : Kind extends 'text' ? string : number

/** What was set, by name; undefined for what has no value and no default here. */
export type Values = { [Name in SettingName]?: ValueOf<(typeof SETTINGS)[Name]['kind']> }
