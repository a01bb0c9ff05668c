// The intrusion, and the same while the network, the clocks and the correlator do their worst.

import { setTimeout as sleep } from 'node:timers/promises'
import { intrude, INTRUSION_HOPS } from '../attack/intrusion.ts'
import type { WatchedName } from '../cluster/layout.ts'
import type { Expectation, Scenario, Stage } from '../scenario.ts'

/** What every variant must raise: one story, whatever happens to its events on the way. */
export const INTRUSION: Expectation = {
  incidents: 1, detectors: ['NET-001', 'NET-002', 'NET-006'], hops: INTRUSION_HOPS, within_s: 5,
}

/** An agent tries again after 5 s at the latest. */
/** An agent waits 10 s at most before it tries again (agent/uplink/backoff.ts). */
const AFTER_RETRY: Expectation = { ...INTRUSION, within_s: 12 }

/** Benign work beside it, so that the story must be told apart from it. */
export const BESIDE = { hours: 1 / 20, span_s: 9, seed: 7 } as const

/** Nodes that the intruder passes. */
const PASSED = ['inference', 'training-1'] as const

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
    for (const name of PASSED) await halves.uplink('hold', name)
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
  expect: AFTER_RETRY,
}

export const duplicates: Scenario = {
  name: 'duplicates',
  title: 'acknowledgements get lost, and the streams begin anew: nothing is stored twice',
  work: BESIDE,
  async act(stage) {
    const { halves } = stage.cluster
    for (const name of PASSED) await halves.uplink('mute', name)
    await intrude(stage)
    await sleep(1000)
    for (const name of PASSED) {
      if (await halves.metric(name, 'vedette_uplink_inflight') === 0) {
        throw new Error(`the acknowledgements of ${name} were not lost`)
      }
      const streams = await halves.metric(name, 'vedette_uplink_streams_total')
      await halves.uplink('cut', name)
      await halves.uplink('mend', name)
      await sentAgain(stage, name, streams)
    }
  },
  check(events) {
    const names = events.map(({ node_id, boot_id, seq }) => `${node_id} ${boot_id} ${seq}`)
    const twice = names.length - new Set(names).size
    return twice === 0 ? [] : [`${twice} events are in the log twice`]
  },
  expect: INTRUSION,
}

/** Waits until the agent has a new stream, and acknowledgements come again. */
async function sentAgain({ cluster }: Stage, name: WatchedName, streams: number): Promise<void> {
  for (let tries = 0; tries < 60; tries++) {
    const { halves } = cluster
    if (await halves.metric(name, 'vedette_uplink_streams_total') > streams &&
      await halves.metric(name, 'vedette_uplink_inflight') <= 1) return
    await sleep(500)
  }
  throw new Error(`the agent of ${name} did not deliver again`)
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
  expect: AFTER_RETRY,
}

/** The last step of these is what the network does then, not what the intruder does. */
function withoutClock(stage: Stage): Stage {
  return { ...stage, lastStep: () => {} }
}
