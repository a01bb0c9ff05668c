import { intrude, INTRUSION_HOPS } from '../attack/intrusion.ts'
import type { Scenario } from '../scenario.ts'

/** Twenty times as fast as in life, and so are all rates. */
const FACTOR = 20

export const benign: Scenario = {
  name: 'benign',
  title: 'an hour of work in three minutes, after half an hour of learning: nothing is raised',
  learn: { hours: 1 / 2, span_s: 1800 / FACTOR, seed: 1 },
  work: { hours: 1, span_s: 3600 / FACTOR, seed: 2 },
  expect: { incidents: 0 },
}

/** The same at the same rates, for a sixth of the time. */
export const benignShort: Scenario = {
  name: 'benign-short',
  title: 'ten minutes of work in half a minute, after as much of learning: nothing is raised',
  learn: { hours: 1 / 6, span_s: 600 / FACTOR, seed: 1 },
  work: { hours: 1 / 6, span_s: 600 / FACTOR, seed: 2 },
  expect: { incidents: 0 },
}

/** In a cluster that learned: nobody wrote a policy, and the zones have names of its own. */
export const learnedIntrusion: Scenario = {
  name: 'learned-intrusion',
  title: 'the intrusion into a cluster that learned its policy: one incident, and none of the work',
  learn: { hours: 1 / 6, span_s: 600 / FACTOR, seed: 1 },
  work: { hours: 1 / 6, span_s: 600 / FACTOR, seed: 2 },
  act: (stage) => intrude(stage),
  expect: {
    incidents: 1, detectors: ['NET-001', 'NET-002', 'NET-006'], within_s: 5,
    hops: INTRUSION_HOPS.map(({ from, to, ...amounts }) =>
      ({ from: { ...from, zone: undefined }, to: { ...to, zone: undefined }, ...amounts })),
  },
}

/** With the policy that a person wrote; short, so that its log can be kept. */
export const benignByHand: Scenario = {
  name: 'benign-by-hand',
  title: 'six minutes of work in 18 s, with a policy written by hand: nothing is raised',
  work: { hours: 1 / 10, span_s: 360 / FACTOR, seed: 3 },
  expect: { incidents: 0 },
}
