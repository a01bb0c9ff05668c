/** What an engine counts. */

/** Amounts since the first event of the log; those by detector have its id as the key. */
export interface EngineCounters {
  events: number
  /** Of kinds that this build does not know. */
  events_unknown: number
  /** Events that had been evaluated before. */
  duplicates: number
  /** Places where numbers of events are missing. */
  holes: number
  /** Texts in the log that are no policy; the one before stayed in force. */
  policies_refused: number
  findings: Record<string, number>
  muted: Record<string, number>
  keys: Record<string, number>
  evictions: Record<string, number>
  processes: number
  process_evictions: number
  source_evictions: number
  /** Connections that left before their time was over. */
  pairing_evictions: number
  connections: number
  /** Open connections of processes that had too many, and containers whose first was forgotten. */
  origins_forgotten: number
  /** Connections to which no path was searched: there were too many in one second. */
  paths_unsearched: number
  name_evictions: number
  /** Nodes whose GPUs, and baselines that were forgotten to make room. */
  gpu_evictions: number
  /** Items of the state of GPUs that found no room. */
  gpu_items_left: number
  /** Texts in the log that are no baseline; the one before stayed in force. */
  baselines_refused: number
  incidents_open: number
  incidents_aged_out: number
  findings_unlisted: number
  amendments_lost: number
  /** Incidents that were told before it was clear that they stand alone: too many were held. */
  incident_holds_cut: number
}
