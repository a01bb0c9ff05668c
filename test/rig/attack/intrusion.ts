// The way of the intrusion: from outside into the inference service, a shell, by ssh to a training
// node, from there to the data sets.

import { addressOf, ATTACKER_ADDRESS, PORTS } from '../cluster/layout.ts'
import { STORE } from '../cluster/services.ts'
import { USERS } from '../cluster/users.ts'
import type { HopWanted, Stage } from '../scenario.ts'
import { Foothold } from './foothold.ts'

export const CORPUS_BYTES = 3_000_000

/** What takes the data sets, run on the training node. */
export const FETCH = `echo last-hop && curl -sS -o /srv/train/corpus ${STORE}/data/${CORPUS_BYTES}`

/** `command` runs on the training node; it prints `last-hop` when its last step begins. */
export async function intrude(stage: Stage, command: string = FETCH): Promise<void> {
  const shell = await Foothold.open(stage.cluster)
  await shell.type('id && ls /home/infer/.ssh')
  await shell.type(`ssh train@training-1 '${command}'`,
    { word: 'last-hop', said: () => stage.lastStep() })
  await shell.leave()
}

/** The hops of the intrusion, in the order in which they were made. */
export const INTRUSION_HOPS: readonly HopWanted[] = [
  {
    from: { zone: 'external', node: null, address: ATTACKER_ADDRESS },
    to: { zone: 'inference', node: 'inference', port: PORTS.inference, exe: '/node',
      uid: USERS.infer },
    bytes_sent_min: 100, bytes_received_min: 10,
  },
  {
    from: { zone: 'inference', node: 'inference', exe: '/ssh', uid: USERS.infer },
    to: { zone: 'training', node: 'training-1', address: addressOf('training-1'),
      port: PORTS.ssh, exe: '/sshd' },
    bytes_sent_min: 1000, bytes_received_min: 1000,
  },
  {
    from: { zone: 'training', node: 'training-1', exe: '/curl', uid: USERS.train },
    to: { zone: 'storage', node: 'storage', address: addressOf('storage'), port: PORTS.store,
      exe: '/node', uid: USERS.data },
    bytes_sent_min: 50, bytes_received_min: CORPUS_BYTES,
  },
]
