// How the agent is, for /readyz and for those who run it in their own process.

import type { Decoder } from '../decode.ts'
import type { Pulse } from './pulse.ts'
import type { Spool } from '../spool.ts'
import type { Uplink } from '../uplink.ts'

/** Figures since the start of the agent. */
export interface AgentStats {
  /** Records that were decoded. */
  records: number
  events_stored: number
  /** At any stage. */
  events_lost: number
  /** Number of the next event, and the highest that the correlator has. */
  next_seq: number
  acked_seq: number
  spool_bytes: number
  /** Batches that wait for their ack. */
  batches_waiting: number
  connected: boolean
}

interface Parts { decoder: Decoder, pulse: Pulse, spool: Spool, uplink: Uplink }

/** The figures now. */
export function statsOf({ decoder, pulse, spool, uplink }: Parts): AgentStats {
  return {
    records: decoder.records,
    events_stored: spool.accounts.all().reduce((sum, { stored }) => sum + stored, 0),
    events_lost: pulse.eventsLost,
    next_seq: spool.nextSeq,
    acked_seq: uplink.ackedSeq,
    spool_bytes: spool.store.waitingBytes,
    batches_waiting: spool.store.waitingFrames,
    connected: uplink.connected,
  }
}

/**
 * Why the agent cannot do its work on this node; empty when it can. A correlator that is away is no
 * reason: that is what the spool is for.
 */
export function notReady({ pulse, spool }: Pick<Parts, 'pulse' | 'spool'>): string[] {
  const problems: string[] = []
  const { problem, fill } = spool.store
  if (problem) problems.push(`spool: ${problem.code}: ${problem.message}`)
  if (fill >= 0.9) problems.push(`spool: ${Math.floor(fill * 100)}% full, events are refused`)
  const states = pulse.probeStates
  if (states.every(({ state }) => state === 'missing')) {
    problems.push(`probes: none is attached: ${states[0]?.reason ?? 'there are none'}`)
  }
  return problems
}
