// An intruder who makes noise, so that nobody hears what else is done.

import { intrude } from '../attack/intrusion.ts'
import type { Scenario } from '../scenario.ts'
import { BESIDE, INTRUSION } from './intrusion.ts'

const CONNECTIONS = 50_000
const RATE_PER_S = 10_000
const UNIT = 'noise.service'

export const flood: Scenario = {
  name: 'flood',
  title: 'a job on the training node floods it with connections while the intruder passes',
  work: BESIDE,
  async act(stage) {
    const { cluster } = stage
    const storm = cluster.node('training-1').start([cluster.compiled('bench/storm.c')],
      { unit: UNIT, user: 'train', input: true })
    await storm.says(/ready/)
    storm.tell(`${CONNECTIONS} ${RATE_PER_S}`)
    await intrude(stage)
    await storm.says(new RegExp(`^${CONNECTIONS} `, 'm'))
    await storm.stop()
  },
  check(events) {
    const problems: string[] = []
    const ofStorm = events.filter((event) => String(event['cgroup_path']).endsWith(`/${UNIT}`))
    const told = ofStorm.filter(({ kind }) => kind === 'connection_open').length
    const counted = ofStorm.filter(({ kind }) => kind === 'connection_repeat')
      .reduce((sum, { opened }) => sum + Number(opened), 0)
    const lost = ofStorm.filter(({ kind }) => kind === 'cgroup_flood')
      .reduce((sum, event) => sum + Number(event['lost_connection_open']) , 0)
    // Both ends are in the cgroup.
    if (told + counted + lost !== 2 * CONNECTIONS) {
      problems.push(`${told} opens told, ${counted} counted and ${lost} over the quota of ` +
        `${2 * CONNECTIONS}`)
    }
    if (counted < CONNECTIONS) problems.push(`only ${counted} of the flood were counted together`)
    const others = events.filter(({ kind, stage: where }) => kind === 'gap' && where !== 'quota')
    problems.push(...others.map((gap) => `something else was lost: ${JSON.stringify(gap)}`))
    return problems
  },
  expect: INTRUSION,
}
