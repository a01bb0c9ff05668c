// The intrusion, and the same while the network, the clocks and the correlator do their worst.

import { setTimeout as sleep } from 'node:timers/promises'
import { intrude, INTRUSION_HOPS } from '../attack/intrusion.ts'
import type { Expectation, Scenario, Stage } from '../scenario.ts'

/** What every variant must raise: one story, whatever happens to its events on the way. */
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

export const reverseOrder: Scenario = {
  name: 'reverse-order',
  title: 'the last node of the chain is heard first, the first node last',
  work: BESIDE,
  async act(stage) {
    const { halves } = stage.cluster
    await halves.uplink('hold', 'inference')
    await halves.uplink('hold', 'training-1')
    await intrude(withoutClock(stage))
    await sleep(1000)
    await halves.uplink('release', 'training-1')
    await sleep(1000)
    stage.lastStep()
    await halves.uplink('release', 'inference')
  },
  expect: INTRUSION,
}

export const skewedClocks: Scenario = {
  name: 'skewed-clocks',
  title: 'the clock of the training node is 2 s late: effects are stamped before their causes',
  work: BESIDE,
  clockShiftS: { 'training-1': -2 },
  act: (stage) => intrude(stage),
  expect: INTRUSION,
}

export const cutOff: Scenario = {
  name: 'cut-off',
  title: 'the training node cannot be heard for a minute, in the middle of it',
  work: BESIDE,
  async act(stage) {
    const { halves } = stage.cluster
    await halves.uplink('cut', 'training-1')
    await intrude(withoutClock(stage))
    stage.progress('a minute without the training node')
    await sleep(60_000)
    stage.lastStep()
    await halves.uplink('mend', 'training-1')
  },
  // An agent tries again after 5 s at the latest.
  expect: { ...INTRUSION, within_s: 10 },
}

export const duplicates: Scenario = {
  name: 'duplicates',
  title: 'acknowledgements get lost, and all is sent again',
  work: BESIDE,
  async act(stage) {
    const { halves } = stage.cluster
    for (const name of ['inference', 'training-1'] as const) await halves.uplink('mute', name)
    await intrude(stage)
    await sleep(1000)
    for (const name of ['inference', 'training-1'] as const) {
      await halves.uplink('cut', name)
      await halves.uplink('mend', name)
    }
  },
  expect: INTRUSION,
}

export const correlatorKilled: Scenario = {
  name: 'correlator-killed',
  title: 'the correlator is killed when the intruder is in, and starts again',
  work: BESIDE,
  async act(stage) {
    const { halves } = stage.cluster
    await intrude(withoutClock(stage), undefined, async () => {
      await halves.killCorrelator()
      await halves.startCorrelator()
      stage.lastStep()
    })
  },
  // An agent tries again after 5 s at the latest.
  expect: { ...INTRUSION, within_s: 10 },
}

/** The last step of these is what the network does then, not what the intruder does. */
function withoutClock(stage: Stage): Stage {
  return { ...stage, lastStep: () => {} }
}
