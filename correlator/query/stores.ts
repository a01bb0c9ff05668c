/** Query.Stores: what is usual of each class of workloads and each store, as it is known now. */
import type { ServerWritableStream } from '@grpc/grpc-js'
import { setImmediate } from 'node:timers/promises'
import { usualLines } from '../../detect/stores/usual-json.ts'
import type { StoreStates } from '../../detect/stores/store-states.ts'
import type { JsonLines, StoresRequest } from '../grpc.ts'
import { writeLines } from './follow.ts'

const LINES_MAX = 256

/**
 * Resolves when all is written or nobody reads any longer. Detection goes on meanwhile: where a
 * pair makes room for another one, the answer may miss one.
 */
export async function answerStores(
  call: ServerWritableStream<StoresRequest, JsonLines>, states: StoreStates,
): Promise<void> {
  const { from_ms, stores } = call.request
  let lines: string[] = []
  for (const usual of usualLines(states, from_ms, stores)) {
    lines.push(JSON.stringify(usual))
    if (lines.length < LINES_MAX) continue
    if (!await writeLines(call, lines)) return
    lines = []
    await setImmediate()
  }
  if (lines.length > 0) await writeLines(call, lines)
}
