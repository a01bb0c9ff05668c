/** The correlator: stages 7 to 11 of the path. Stage 12, replay, is detect/replay.ts. */
import type { Server } from '@grpc/grpc-js'
import type { Detector } from '../detect/detector.ts'
import { detectors as catalogue } from '../detectors/index.ts'
import { Alerts } from './alert/alertmanager.ts'
import { correlatorSettings } from './config.ts'
import type { CorrelatorConfig, CorrelatorSettings } from './config.ts'
import { messageOf } from './errors.ts'
import { EventLog } from './event-log.ts'
import { ingestService, listenGrpc, newServer, queryService } from './grpc.ts'
import { listenHttp } from './http.ts'
import { IncidentLog } from './incident-log.ts'
import { Incidents } from './incidents.ts'
import { Ingest } from './ingest.ts'
import { createMetrics } from './metrics.ts'
import { startClusterNames } from './names/start.ts'
import { PolicyInForce } from './policy/in-force.ts'
import type { PolicyInForceOptions } from './policy/in-force.ts'
import { readPolicy, watchPolicy } from './policy/source.ts'
import type { PolicyRead } from './policy/source.ts'
import { Signal } from './query/follow.ts'
import { IncidentFeed } from './query/incidents.ts'
import { Query } from './query/query.ts'
import { OwnClock } from './state/own-clock.ts'
import { deliverStored, sendRestored, tellUpdates } from './state/live.ts'
import { readTail, restoreSnapshot } from './state/restore.ts'
import { saveState } from './state/save.ts'
import { notReady, observeParts } from './status.ts'

/** A correlator that runs. */
export interface RunningCorrelator {
  /** Port of ingest and query. */
  grpc_port: number
  /** Port of /metrics, /livez and /readyz. */
  http_port: number
  /** Reads the policy file again; so does SIGHUP, and a change of the file. */
  reloadPolicy(): void
  /** Takes nothing more, stores and evaluates what was taken, closes everything. */
  stop(): Promise<void>
}

/** How an embedding program differs from the command. */
export interface CorrelatorOptions {
  /** Takes lines for people; default: standard error. */
  report?(line: string): void
  /** Default: the whole catalogue. */
  detectors?: readonly Detector[]
}

/** What is to be closed, in the order of opening. */
type Opened = (() => Promise<void> | void)[]

/**
 * Starts a correlator. Rejects with CorrelatorError or LogError, and leaves nothing open then.
 * When it resolves, the log was read and the ports are open.
 */
export async function startCorrelator(
  config: CorrelatorConfig, options: CorrelatorOptions = {},
): Promise<RunningCorrelator> {
  const settings = correlatorSettings(config)
  const report = options.report ?? ((line) => void process.stderr.write(`correlator: ${line}\n`))
  const opened: Opened = []
  try {
    return await start(settings, options.detectors ?? catalogue, report, opened)
  } catch (error) {
    await closeAll(opened, report)
    throw error
  }
}

async function start(
  settings: CorrelatorSettings, detectors: readonly Detector[], report: (line: string) => void,
  opened: Opened,
): Promise<RunningCorrelator> {
  const read = readPolicy(settings.policy)
  const metrics = createMetrics()
  const health = { notReady: () => ['the event log is being read'] }
  const http = await listenHttp(settings.listen_http, metrics.registry, health)
  opened.push(() => http.close())

  // Stage 8: the event log. Opened first: all that follows is made from it.
  const log = new EventLog({ settings, report })
  opened.push(() => log.close())
  const incidentLog = new IncidentLog(settings, report)
  opened.push(() => incidentLog.close())
  const restored = restoreSnapshot({ settings, detectors, log, metrics, report })
  const { sequences } = restored

  // Stage 11: alerts.
  const alerts = new Alerts({ settings, http_port: http.port, metrics, report })
  opened.push(() => alerts.close())
  const feed = new IncidentFeed(incidentLog, new Signal())

  // Stages 9 and 10: detectors and incidents.
  const incidents: Incidents = new Incidents({
    ...restored, log: incidentLog, report,
    release: (logged) => log.release(logged),
    onUpdates: (updates) => tellUpdates(updates, { incidentLog, feed, alerts, metrics }),
    snapshot: (position) =>
      saveState({ settings, position, incidents, incidentLog, sequences, log, metrics }),
  })
  await readTail({ log, report }, restored, (logged) => void incidents.ingest(logged))
  await incidentLog.sync()
  sendRestored(incidentLog, alerts)
  const stored = new Signal()
  const acknowledge = () => ingest.acknowledge()
  deliverStored({ log, incidents, sequences, stored, metrics, acknowledge })
  opened.push(async () => {
    await log.settled()
    await incidents.stop()
    await incidents.snapshotNow()
  })

  const parts = { settings, log, sequences, metrics, report }
  const inForce = openPolicy(read, parts, incidents, () => ingest.tellStores())
  const watch = watchPolicy(settings.policy, () => inForce.files, inForce.reload)
  const names = startClusterNames(settings, { log, sequences, incidents }, report)
  const clock = new OwnClock({ incidents, log, sequences })
  opened.push(() => watch.close(), () => names?.stop(), () => clock.stop())

  // Stage 7: ingest; and, on the same port, what people read.
  const ingest: Ingest = new Ingest({ ...parts, stores: () => inForce.stores })
  const query = new Query({
    events: { log, stored, metrics, zoner: () => inForce.zoner }, clients: settings.query_clients,
    feed, status: { log, incidents, ingest, sequences, incidentLog, names },
  })
  const server = newServer(settings)
  server.addService(ingestService, { Uplink: ingest.uplink })
  server.addService(queryService, query.handlers)
  opened.push(() => { ingest.stop(); query.stop(); return shutDown(server) })
  const grpc_port = await listenGrpc(server, settings)
  observeParts(metrics, { log, incidents, ingest, query, sequences, alerts, incidentLog, names })
  health.notReady = () => notReady(log, incidents)
  let stopping: Promise<void> | null = null
  return {
    grpc_port, http_port: http.port, reloadPolicy: inForce.reload,
    stop: () => stopping ??= closeAll(opened, report),
  }
}

function openPolicy(
  read: PolicyRead,
  parts: Pick<PolicyInForceOptions, 'settings' | 'log' | 'sequences' | 'metrics' | 'report'>,
  incidents: Incidents, storesChanged: () => void,
): PolicyInForce {
  return new PolicyInForce(read, {
    ...parts, storesChanged, loggedSha256: incidents.policySha256,
    loggedBaselines: incidents.engine.baselines, known: () => incidents.engine.known,
  })
}

/** How long calls may take to end in order. */
const SHUTDOWN_MS = 1000

function shutDown(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown()
      resolve()
    }, SHUTDOWN_MS)
    server.tryShutdown(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}

// The last opened first. One that fails must not keep the others open.
async function closeAll(opened: Opened, report: (line: string) => void): Promise<void> {
  for (const close of opened.splice(0).reverse()) {
    try {
      await close()
    } catch (error) {
      report(`while stopping: ${messageOf(error)}`)
    }
  }
}
