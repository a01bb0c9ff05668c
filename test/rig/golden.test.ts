// The detectors over what really happened on the rig (npm run rig -- --record): real kernels made
// these events, and no root is needed to look at them again.

import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Incident } from '../../detect/incident.ts'
import { decodeEnvelope } from '../../proto/batch.ts'
import { goldenFrames, goldenIncidents, goldenNames, replayed } from './golden.ts'
import type { Frame } from './golden.ts'
import { judge } from './judge.ts'
import { scenarios } from './scenarios/all.ts'

const dir = join(import.meta.dirname, 'golden')
const names = goldenNames(dir)
const again = 'A detector is meant to tell something else now? npm run rig -- --refresh, then look at the diff'

describe.each(names)('the kept log of %s', (name) => {
  const frames = goldenFrames(name, dir)
  const { expect: wanted } = scenarios.find((one) => one.name === name)!

  it('gives the incidents that were kept, byte for byte', () => {
    expect(replayed(frames), again).toEqual(goldenIncidents(name, dir))
  })

  it('gives what its scenario wants', () => {
    expect(judge(incidentsOf(frames), wanted)).toEqual([])
  })
})

describe('the kept log of the intrusion, as other networks would have brought it', () => {
  const frames = goldenFrames('intrusion', dir)
  const { expect: wanted } = scenarios.find(({ name }) => name === 'intrusion')!

  it.each(['inference', 'training-1', 'storage'])('is the same story when %s is heard last', (node) => {
    expect(judge(incidentsOf(later(frames, node, Infinity)), wanted)).toEqual([])
  })

  it.each(['inference', 'training-1', 'storage'])('is the same story when %s is heard 3 s late', (node) => {
    expect(judge(incidentsOf(later(frames, node, 3)), wanted)).toEqual([])
  })
})

function incidentsOf(frames: readonly Frame[]): Incident[] {
  const numbered = frames.map(({ payload }, i) => ({ position: i + 1, payload }))
  return replayed(numbered).map((text) => JSON.parse(text) as Incident)
}

/** The batches of one node come so many seconds after those that were made at the same time. */
function later(frames: readonly Frame[], node: string, seconds: number): Frame[] {
  return frames.map((frame, i) => {
    const { node_id, last_time } = decodeEnvelope(frame.payload)
    const madeS = Number(last_time) / 1e9
    return { frame, i, at: node_id === node ? madeS + seconds : madeS }
  }).sort((a, b) => a.at === b.at ? a.i - b.i : a.at - b.at).map(({ frame }) => frame)
}
