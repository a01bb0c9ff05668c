import type { ProbeState } from '../../proto/gen/events.ts'
import { tone, toneOf } from '../output.ts'
import { printable } from './printable.ts'
import { alignRows, wrap } from './table.ts'

const WIDTH = 100

/** What each probe sees, how it is attached, and what is lost; for stderr. */
export function probeLines(states: readonly ProbeState[], prefix = '  '): string[] {
  const reasons = new Set(states.map(({ reason }) => reason))
  if (reasons.size === 1 && states.every(({ state }) => state === 'missing')) {
    const [reason] = reasons
    return wrap(`NOTHING can be watched: ${printable(reason)}`, WIDTH - prefix.length)
      .map((line) => prefix + tone('bad', line, process.stderr))
  }
  const rows = alignRows(states.map(({ probe, state, attach_type, program }) => [
    { text: state, paint: (text: string) => tone(toneOf(state), text, process.stderr) },
    probe, attach_type === '' ? '' : `${attach_type} (${program})`,
  ]), WIDTH - prefix.length)
  return states.flatMap(({ reason, lost }, i) => [
    prefix + rows[i],
    ...(lost === '' ? [] : wrap(`not seen: ${printable(lost)}` +
      (reason === '' ? '' : ` (${printable(reason)})`), WIDTH - prefix.length - 10)
      .map((line) => prefix + ' '.repeat(10) + tone('faint', line, process.stderr))),
  ])
}
