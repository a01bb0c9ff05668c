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

/** For CI: the same at the same rates, for a sixth of the time. */
export const benignShort: Scenario = {
  name: 'benign-short',
  title: 'ten minutes of work in half a minute, after as much of learning: nothing is raised',
  learn: { hours: 1 / 6, span_s: 600 / FACTOR, seed: 1 },
  work: { hours: 1 / 6, span_s: 600 / FACTOR, seed: 2 },
  expect: { incidents: 0 },
}

/** With the policy that a person wrote; short, so that its log can be kept. */
export const benignByHand: Scenario = {
  name: 'benign-by-hand',
  title: 'six minutes of work in 18 s, with a policy written by hand: nothing is raised',
  work: { hours: 1 / 10, span_s: 360 / FACTOR, seed: 3 },
  expect: { incidents: 0 },
}
