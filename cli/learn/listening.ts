/** Hears what detectors report, and lets no incident come of it. */
import type { Context } from '../../detect/context.ts'
import type { Detector } from '../../detect/detector.ts'
import type { Finding } from '../../detect/finding.ts'

/** For the detectors of one engine. */
export class Listening {
  readonly #hear: (finding: Finding, context: Context, id: string) => void
  readonly #attached = new WeakSet<Context>()
  /** Id of the detector that is asked. */
  #asked = ''

  constructor(hear: (finding: Finding, context: Context, id: string) => void) {
    this.#hear = hear
  }

  /** The same detectors, overheard. */
  to(detectors: readonly Detector[]): Detector[] {
    return detectors.map((detector) => ({
      ...detector,
      evaluate: (event, state, context) => this.#during(detector.id, context, () =>
        detector.evaluate(event, state, context)),
      ...detector.wake === undefined ? {} : {
        wake: (state: unknown, context: Context) => this.#during(detector.id, context, () =>
          detector.wake!(state, context)),
      },
    }))
  }

  #during(id: string, context: Context, act: () => void): void {
    if (!this.#attached.has(context)) {
      this.#attached.add(context)
      // Null is what it is told while it is muted: there is no incident to add to.
      context.report = (finding) => {
        this.#hear(finding, context, this.#asked)
        return null
      }
    }
    this.#asked = id
    act()
  }
}
