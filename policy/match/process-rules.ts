import { compareSpecificity, compileGlob } from './glob.ts'
import type { Glob } from './glob.ts'
import type { Pattern, Zone } from '../policy.ts'

/** What is known of a process; null or absent where it is not known. */
export type ProcessFacts = {
  exe?: string | null
  cgroup_path?: string | null
  systemd_unit?: string | null
}

/** Which kind of pattern decided, as the key of `match` in the file. */
export type Matcher = 'executables' | 'systemd_units' | 'cgroup_paths' | 'cidrs'

/** The pattern that decided: what and where in the file. `zone` is an index into `zones`. */
export type Rule = Pattern & { matcher: Matcher, zone: number }

/**
 * Finds the zone of a process. An executable says more than the unit it runs in, and the unit more
 * than the cgroup, since each contains the one before; among patterns of one kind the most specific
 * wins, then the first in the file. Not for the hot path: callers keep the answer per process.
 */
export class ProcessRules {
  readonly #executables: Entry[]
  readonly #units: Entry[]
  readonly #cgroups: Entry[]

  /** @param firstZone the index of `zones[0]` in the numbering that rules use */
  constructor(zones: readonly Zone[], firstZone: number) {
    const collect = (matcher: Matcher, patterns: (zone: Zone) => Pattern[]): Entry[] => {
      const entries = zones.flatMap((zone, index) => patterns(zone).map((pattern) => {
        const rule: Rule = { ...pattern, matcher, zone: firstZone + index }
        return { glob: compileGlob(pattern.text), rule }
      }))
      // The sort is stable: equals stay in the order of the file.
      return entries.sort((a, b) => compareSpecificity(a.glob, b.glob))
    }
    this.#executables = collect('executables', (zone) => zone.executables)
    this.#units = collect('systemd_units', (zone) => zone.systemdUnits)
    this.#cgroups = collect('cgroup_paths', (zone) => zone.cgroupPaths)
  }

  /** The rule that decides, or null when no zone holds the process. */
  find(facts: ProcessFacts): Rule | null {
    return first(this.#executables, facts.exe) ?? first(this.#units, facts.systemd_unit) ??
      first(this.#cgroups, facts.cgroup_path)
  }
}

type Entry = { glob: Glob, rule: Rule }

function first(entries: readonly Entry[], text: string | null | undefined): Rule | null {
  if (text === null || text === undefined || text === '') return null
  return entries.find(({ glob }) => glob.matches(text))?.rule ?? null
}
