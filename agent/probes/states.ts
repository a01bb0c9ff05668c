// The facts of `probe_state` events: what is attached, what was refused, what is lost. Pure.

import type { NativeFailure } from '../../native/index.ts'
import type { ProbeState } from '../../proto/gen/events.ts'
import type { Choice } from './choice.ts'
import { against } from './refusal.ts'
import type { Refusal } from './refusal.ts'
import type { Probe } from './table.ts'

/** One for each probe, in the order of the table. */
export function probeStates(
  choices: readonly Choice[], refusals: readonly Refusal[],
): ProbeState[] {
  return choices.map(({ probe, way }) => {
    const best = against(probe.ways[0], refusals)
    const chosen = way < 0 ? undefined : probe.ways[way]
    const lost = chosen ? chosen.lost : probe.lost
    const reasons = probe.ways.slice(0, way < 0 ? undefined : way)
      .map((refused) => against(refused, refusals)?.reason)
    return {
      probe: probe.name,
      state: !chosen ? 'missing' : lost ? 'degraded' : 'attached',
      program: chosen ? chosen.programs.join(', ') : '',
      attach_type: chosen ? chosen.attach_type : '',
      error: way === 0 ? 0 : best?.errno ?? 0,
      reason: [...new Set(reasons.filter(Boolean))].join('; '),
      lost,
    }
  })
}

/** Nothing can be loaded at all: every probe is missing, for one reason. */
export function allMissing(
  table: readonly Probe[], error: number, reason: string,
): ProbeState[] {
  return table.map((probe) => ({
    probe: probe.name, state: 'missing', program: '', attach_type: '', error, reason,
    lost: probe.lost,
  }))
}

/** Not attached, and nothing is lost: what it would watch is not there. */
export function waitingFor(probe: Probe, reason: string): ProbeState {
  return {
    probe: probe.name, state: 'waiting', program: '', attach_type: '', error: 0, reason, lost: '',
  }
}

/** The probe that a program belongs to, lost after the start: an iterator that failed. */
export function stateAfterFailure(
  table: readonly Probe[], program: string, failure: NativeFailure,
): ProbeState | undefined {
  const probe = table.find(({ ways }) => ways.some((way) => way.programs.includes(program)))
  if (!probe) return undefined
  const reason = `${program}: ${failure.operation} failed (${failure.code})`
  return allMissing([probe], failure.errno, reason)[0]
}
