/** Where the log of a range comes from: a data folder, or a correlator that is asked for it. */
import { join } from 'node:path'
import type { StoredBatch } from '../../correlator/grpc.ts'
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

/** A batch and its place in the log. */
export interface Frame { position: number, payload: Uint8Array }

/** Milliseconds since 1970; the folder of `--data` is read whole. */
export interface Range { fromMs: number, toMs: number }

const FETCHED_BYTES_MAX = 512 * 1024 * 1024

/** Opens `--data`, else asks `--server`. Throws CliError. */
export async function openSource(values: Values, range: Range): Promise<LogSource> {
  if (values.data === undefined) return fetchSource(values, range)
  const incidents = isThere(join(values.data, 'incidents')) ? offlineIncidents(values.data) : []
  return { frames: framesOf(values.data), incidents }
}

/** The same log once, from the beginning, without keeping it. Throws CliError. */
export function streamFrames(values: Values, range: Range): Iterable<Frame> | AsyncIterable<Frame> {
  return values.data === undefined ? askForFrames(values, range) : framesOf(values.data)()
}

/** Several passes need the log several times: it is kept in memory, compressed as it is. */
async function fetchSource(values: Values, range: Range): Promise<LogSource> {
  const fetched: Frame[] = []
  let bytes = 0
  for await (const frame of askForFrames(values, range)) {
    bytes += frame.payload.length
    if (bytes > FETCHED_BYTES_MAX) {
      throw new CliError('CLI_USAGE', `the range has over ${formatBytes(FETCHED_BYTES_MAX)}; ` +
        'narrow it with --from and --to, or read the folder of the correlator with --data')
    }
    fetched.push(frame)
  }
  const server = new QueryServer(values)
  const incidents: Incident[] = []
  try {
    for await (const lines of server.incidents({})) {
      incidents.push(...lines.map((line) => JSON.parse(line) as Incident))
    }
  } finally {
    server.close()
  }
  return { frames: () => fetched, incidents }
}

async function* askForFrames(
  values: Values, { fromMs, toMs }: Range,
): AsyncGenerator<Frame, void, undefined> {
  const server = new QueryServer(values)
  try {
    yield* readableOf(server.batches({
      from_ms: Math.max(0, Math.floor(fromMs)), to_ms: toMs === Infinity ? 0 : Math.ceil(toMs),
      kinds_before: [...FACT_KINDS],
    }))
  } finally {
    server.close()
  }
}

/** What could be read; the rest is named on stderr. */
export async function* readableOf(
  batches: AsyncIterable<StoredBatch>,
): AsyncGenerator<Frame, void, undefined> {
  for await (const { payload, missed, position } of batches) {
    if (missed === '') yield { position, payload }
    else say(`vedette: batch ${position} of the event log cannot be read: ${missed}`)
  }
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
