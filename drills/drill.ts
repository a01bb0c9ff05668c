/** What a drill is: a harmless, real action like an attack, which must raise an incident. */

/** What a drill may use of whoever runs it. */
export interface DrillContext {
  /** Tells the person what is being done, a line at a time. */
  say(line: string): void
  /** Aborted when the person wants to stop: the drill then cleans up and ends. */
  signal: AbortSignal
}

/** How to know the incident of this drill among others. */
export interface DrillOutcome {
  /** Zones that the incident must name, all of them. */
  zones: string[]
  /** What was really done, for comparison with the incident: names and values. */
  done: Record<string, string | number>
}

export interface Drill {
  /** As it is called: `vedette drill zone-violation`. */
  name: string
  title: string
  /** Id of the detector that must raise it. */
  raises: string
  /** ATT&CK techniques that it looks like. */
  attack: readonly string[]
  /** Why it can do no harm, in plain words. */
  safe: string
  /** What it needs: `root`, or a program. */
  needs: readonly string[]
  /** Does it, and cleans up in every case. Rejects with DrillError. */
  run(context: DrillContext): Promise<DrillOutcome>
}

/** What keeps a drill from being done. */
export class DrillError extends Error {
  override readonly name = 'DrillError'
  readonly code = 'DRILL_FAILED'
}
