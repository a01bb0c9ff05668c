/**
 * Stage 11: open incidents as alerts, at every Alertmanager. Alertmanager forgets, so an open
 * incident is sent again and again, and a closed one is sent as resolved for five minutes.
 */
import type { Incident } from '../../detect/incident.ts'
import { hostPort } from '../config.ts'
import type { CorrelatorSettings } from '../config.ts'
import type { Metrics } from '../metrics.ts'
import { alertBody, alertLabels } from './alert-body.ts'
import type { AlertLinks, AlertOrigin } from './alert-body.ts'
import { Outbox } from './outbox.ts'

/** How long a resolved alert is sent again: the contract of Alertmanager. */
const RESOLVED_MS = 5 * 60_000
/** An alert that is not sent again ends by itself after this, or four times the interval. */
const OPEN_ENDS_MS = 5 * 60_000
const GIVE_UP_MS = 15 * 60_000
const TIMEOUT_MS = 10_000
const BACKOFF_MS = 500
const CLOSE_MS = 2000

interface Alerting {
  incident: Incident
  /** The identity of the alert. */
  labels: Record<string, string>
  /** When it ended, milliseconds since 1970; null while it is open. */
  endedMs: number | null
  /** False once an Alertmanager has it. */
  unseen: boolean
}

export interface AlertsOptions {
  settings: CorrelatorSettings
  /** Port of /metrics: the default of external_url. */
  http_port: number
  metrics: Metrics
  report(line: string): void
}

/** The alerts of one correlator. At most `alerts_pending_max` are kept alive. */
export class Alerts {
  readonly #options: AlertsOptions
  readonly #outboxes: Outbox[]
  readonly #links: AlertLinks
  // Oldest first.
  readonly #alerting = new Map<string, Alerting>()
  readonly #timer: NodeJS.Timeout

  constructor(options: AlertsOptions) {
    this.#options = options
    const { settings, metrics, report } = options
    this.#links = linksOf(settings, options.http_port)
    this.#outboxes = settings.alertmanager_urls.map((url) => new Outbox({
      url, pendingMax: settings.alerts_pending_max, giveUpMs: GIVE_UP_MS, timeoutMs: TIMEOUT_MS,
      backoffMs: BACKOFF_MS, sent: metrics.alertsSent, undelivered: metrics.alertsUndelivered,
      failures: metrics.alertFailures, report,
    }))
    this.#timer = setInterval(() => this.#sendAgain(), settings.alert_resend_interval_ms)
    this.#timer.unref()
  }

  /** Alerts that wait for an instance. */
  get pending(): number {
    return this.#outboxes.reduce((sum, { pending }) => sum + pending, 0)
  }

  /**
   * Takes the newest state of an incident.
   *
   * @param origin of the state in which it was opened
   * @param fresh it has just happened: the time until an Alertmanager has it is measured
   */
  update(incident: Incident, origin: AlertOrigin, fresh: boolean): void {
    if (this.#outboxes.length === 0) return
    const { settings } = this.#options
    const { incident_id: id, state } = incident
    const labels = alertLabels(incident, origin, settings.cluster)
    const before = this.#alerting.get(id)
    if (before !== undefined && before.labels['severity'] !== labels['severity']) {
      // It got worse: to Alertmanager that is another alert, so the old one must end.
      before.endedMs = Date.now()
      this.#keep(`${id} ${before.incident.severity}`, before)
      this.#alerting.delete(id)
    }
    const known = this.#alerting.get(id)
    // When it closed by events says nothing here: the alert ends when Alertmanager is told.
    const endedMs = state === 'open' ? null : known?.endedMs ?? Date.now()
    const unseen = known?.unseen ?? (fresh && before === undefined)
    this.#keep(id, { incident, labels, endedMs, unseen })
  }

  /** Sends what waits for at most two seconds, then stops. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all(this.#outboxes.map((outbox) => outbox.close(CLOSE_MS)))
  }

  #keep(key: string, alerting: Alerting): void {
    const { settings, metrics } = this.#options
    if (!this.#alerting.has(key) && this.#alerting.size >= settings.alerts_pending_max) {
      const [oldest] = this.#alerting.keys()
      this.#alerting.delete(oldest)
      for (const { instance } of this.#outboxes) {
        metrics.alertsUndelivered.inc({ alertmanager: instance })
      }
    }
    this.#alerting.set(key, alerting)
    this.#send(key, alerting)
  }

  #send(key: string, alerting: Alerting): void {
    const { settings, metrics } = this.#options
    const openMs = Math.max(OPEN_ENDS_MS, 4 * settings.alert_resend_interval_ms)
    const body = () => {
      const nowMs = Date.now()
      const { incident, labels, endedMs } = alerting
      return alertBody(incident, labels, this.#links, nowMs, endedMs ?? nowMs + openMs)
    }
    const delivered = () => {
      if (!alerting.unseen) return
      alerting.unseen = false
      const openedMs = Date.parse(alerting.incident.opened_at)
      metrics.alertLatency.observe(Math.max(0, Date.now() - openedMs) / 1000)
    }
    for (const outbox of this.#outboxes) outbox.put({ key, body, delivered })
  }

  #sendAgain(): void {
    const nowMs = Date.now()
    for (const [key, alerting] of this.#alerting) {
      if (alerting.endedMs !== null && nowMs - alerting.endedMs > RESOLVED_MS) {
        this.#alerting.delete(key)
      } else {
        this.#send(key, alerting)
      }
    }
  }
}

function linksOf(settings: CorrelatorSettings, port: number): AlertLinks {
  const { host } = hostPort(settings.listen_http)!
  const own = `http://${host.includes(':') ? `[${host}]` : host}:${port}`
  const external_url = (settings.external_url ?? own).replace(/\/+$/, '')
  const runbook_url = (settings.runbook_url ?? `${external_url}/runbooks`).replace(/\/+$/, '')
  return { external_url, runbook_url }
}
