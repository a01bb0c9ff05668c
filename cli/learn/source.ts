/** Where the log of a range comes from: a data folder, or a correlator that is asked for it. */
import { join } from 'node:path'
import type { Incident } from '../../detect/incident.ts'
import { FACT_KINDS } from '../../policy/learn/census.ts'
import { CliError } from '../errors.ts'
import { offlineIncidents } from '../incidents.ts'
import { say } from '../output.ts'
import { frames, isThere, openReader } from '../read/offline.ts'
import { QueryServer } from '../read/server.ts'
import type { Values } from '../settings.ts'
import { formatBytes } from '../text/time.ts'
import type { Frames } from './range.ts'

/** The event log as often as needed, and what was raised live. */
export interface LogSource {
  frames: Frames
  incidents: Incident[]
}

type Range = { fromMs: number, toMs: number }

const FETCHED_BYTES_MAX = 512 * 1024 * 1024

/** Opens `--data`, else asks `--server`. Throws CliError. */
export async function openSource(values: Values, range: Range): Promise<LogSource> {
  if (values.data === undefined) return fetchSource(values, range)
  const incidents = isThere(join(values.data, 'incidents')) ? offlineIncidents(values.data) : []
  return { frames: framesOf(values.data), incidents }
}

/** Several passes need the log several times: it is kept in memory, compressed as it is. */
async function fetchSource(values: Values, { fromMs, toMs }: Range): Promise<LogSource> {
  const server = new QueryServer(values)
  const fetched: { position: number, payload: Uint8Array }[] = []
  const incidents: Incident[] = []
  let bytes = 0
  try {
    const request = {
      from_ms: Math.max(0, Math.floor(fromMs)), to_ms: toMs === Infinity ? 0 : Math.ceil(toMs),
      kinds_before: [...FACT_KINDS],
    }
    for await (const { payload, missed, position } of server.batches(request)) {
      if (missed !== '') {
        say(`vedette: batch ${position} of the event log cannot be read: ${missed}`)
        continue
      }
      bytes += payload.length
      if (bytes > FETCHED_BYTES_MAX) {
        throw new CliError('CLI_USAGE', `the range has over ${formatBytes(FETCHED_BYTES_MAX)}; ` +
          'narrow it with --from and --to, or read the folder of the correlator with --data')
      }
      fetched.push({ position, payload })
    }
    for await (const lines of server.incidents({})) {
      incidents.push(...lines.map((line) => JSON.parse(line) as Incident))
    }
  } finally {
    server.close()
  }
  return { frames: () => fetched, incidents }
}

/** The event log of a data folder as it is now: each pass sees the same, also while it grows. */
function framesOf(data: string): Frames {
  const reader = openReader(data, 'log')
  let last = 0
  for (const { position } of frames(reader)) last = position
  return function* () {
    for (const frame of frames(reader)) {
      if (frame.position > last) return
      yield frame
    }
  }
}
