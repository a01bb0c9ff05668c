import { intrude, INTRUSION_HOPS } from '../attack/intrusion.ts'
import type { Expectation, Scenario } from '../scenario.ts'

/** What every variant of the intrusion must raise: one story, whatever the network does to it. */
export const INTRUSION: Expectation = {
  incidents: 1, detectors: ['NET-001', 'NET-002', 'NET-006'], hops: INTRUSION_HOPS, within_s: 5,
}

/** Benign work beside it, so that the story must be told apart from it. */
export const BESIDE = { hours: 1 / 20, span_s: 9, seed: 7 } as const

export const intrusion: Scenario = {
  name: 'intrusion',
  title: 'from outside through the model server and ssh to the data sets: one incident, all hops',
  work: BESIDE,
  act: (stage) => intrude(stage),
  expect: INTRUSION,
}
