// The way of the intrusion: from outside into the inference service, a shell, by ssh to a training
// node, from there to the data sets.

import { addressOf, ATTACKER_ADDRESS, PORTS } from '../cluster/layout.ts'
import { STORE } from '../cluster/services.ts'
import { USERS } from '../cluster/users.ts'
import type { EndWanted, HopWanted, Stage } from '../scenario.ts'
import { Foothold } from './foothold.ts'

export const CORPUS_BYTES = 3_000_000

/** What takes the data sets, run on the training node. */
export const FETCH = `echo last-hop && curl -sS -o /srv/train/corpus ${STORE}/data/${CORPUS_BYTES}`
/** Types it into a shell on the inference node. */
export const GO_ON = `ssh train@training-1 '${FETCH}'`

/**
 * @param goOn a shell command on the inference node that prints `last-hop` when its last step
 *   begins
 * @param inside called when the intruder has the shell
 */
export async function intrude(
  stage: Stage, goOn = GO_ON, inside = async (): Promise<void> => {},
): Promise<void> {
  const shell = await Foothold.open(stage.cluster)
  await shell.type('id && ls /home/infer/.ssh')
  await inside()
  await shell.type(goOn, { word: 'last-hop', said: () => stage.lastStep() })
  await shell.leave()
}

export const ATTACKER: EndWanted = { zone: 'external', node: null, address: ATTACKER_ADDRESS }

/** From outside into the model server. */
export const ENTRY: HopWanted = {
  from: ATTACKER,
  to: {
    zone: 'inference', node: 'inference', port: PORTS.inference, exe: '/node', uid: USERS.infer,
  },
  bytes_sent_min: 100, bytes_received_min: 10,
}

/** To the sshd of a training node. */
export const SSHD: EndWanted = {
  zone: 'training', node: 'training-1', address: addressOf('training-1'), port: PORTS.ssh,
  exe: '/sshd',
}

/** From the training node to the data sets. */
export const THEFT: HopWanted = {
  from: { zone: 'training', node: 'training-1', exe: '/curl', uid: USERS.train },
  to: {
    zone: 'storage', node: 'storage', address: addressOf('storage'), port: PORTS.store,
    exe: '/node', uid: USERS.data,
  },
  bytes_sent_min: 50, bytes_received_min: CORPUS_BYTES,
}

/** By ssh from the inference node to the training node. */
export const TO_SSHD: HopWanted = {
  from: { zone: 'inference', node: 'inference', exe: '/ssh', uid: USERS.infer }, to: SSHD,
  bytes_sent_min: 1000, bytes_received_min: 1000,
}

/** The hops of the intrusion, in the order in which they were made. */
export const INTRUSION_HOPS: readonly HopWanted[] = [ENTRY, TO_SSHD, THEFT]
