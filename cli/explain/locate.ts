/** When an event was, asked of a correlator, so that only the log around it has to come. */
import { BatchCursor } from '../../proto/batch-cursor.ts'
import { BatchError, decodeBatch } from '../../proto/batch.ts'
import { say } from '../output.ts'
import { readableOf } from '../learn/source.ts'
import { QueryServer } from '../read/server.ts'
import type { ServerSettings } from '../read/server.ts'
import type { Wanted } from './events.ts'

/**
 * Wall clock milliseconds since 1970; of several boots the first that has it; null when the log
 * does not hold it. Throws CliError.
 */
export async function timeOfEvent(
  settings: ServerSettings, { node_id, boot_id, seq }: Wanted,
): Promise<number | null> {
  const server = new QueryServer(settings)
  try {
    const events = [{ node_id, boot_id: boot_id ?? '', seq }]
    for await (const { payload, position } of readableOf(server.batches({ events }))) {
      try {
        const timeMs = timeIn(payload, seq)
        if (timeMs !== null) return timeMs
      } catch (error) {
        if (!(error instanceof BatchError)) throw error
        say(`vedette: batch ${position} of the event log is broken: ${error.message}`)
      }
    }
    return null
  } finally {
    server.close()
  }
}

function timeIn(payload: Uint8Array, seq: number): number | null {
  let timeMs: number | null = null
  new BatchCursor().forEach(decodeBatch(payload), (event) => {
    if (event.seq === seq) timeMs = event.time_ms
  })
  return timeMs
}
