// The intrusion by those who do not want to be followed, and what they do on the way.

import { Foothold, LISTENER, throughHole } from '../attack/foothold.ts'
import {
  ATTACKER, ENTRY, FETCH, GO_ON, intrude, SSHD, THEFT, TO_SSHD,
} from '../attack/intrusion.ts'
import { addressOf, ATTACKER_ADDRESS } from '../cluster/layout.ts'
import { USERS } from '../cluster/users.ts'
import type { EndWanted, Scenario } from '../scenario.ts'
import { BESIDE, INTRUSION } from './intrusion.ts'

const PROXY_PORT = 2222
const ON_INFERENCE: EndWanted = { zone: 'inference', node: 'inference', uid: USERS.infer }
const SCANNED = ['training-1', 'training-2', 'storage'] as const

export const doubleFork: Scenario = {
  name: 'double-fork',
  title: 'the intruder forks twice, so that init is the parent of what goes on',
  work: BESIDE,
  act: (stage) => intrude(stage, 'rm -f /srv/infer/out; (setsid sh -c "sleep 0.5; ' +
    `ssh train@training-1 '${FETCH}' > /srv/infer/out; echo over >> /srv/infer/out" &) ; ` +
    'until grep -q last-hop /srv/infer/out; do sleep 0.05; done; echo last-hop; ' +
    'until grep -q over /srv/infer/out; do sleep 0.05; done'),
  expect: INTRUSION,
}

export const proxy: Scenario = {
  name: 'proxy',
  title: 'a relay on the inference node carries ssh from outside to the training node',
  work: BESIDE,
  async act(stage) {
    const { cluster } = stage
    const address = addressOf('inference')
    await throughHole(cluster, `exec socat TCP-LISTEN:${PROXY_PORT},bind=${address} ` +
      `TCP:${addressOf('training-1')}:22`)
    const ssh = cluster.node('outside').start(['ssh', '-b', ATTACKER_ADDRESS,
      '-i', `${cluster.machine.dir}/etc/deploy`, '-p', String(PROXY_PORT),
      // Until the relay listens.
      '-o', 'ConnectionAttempts 20', `train@${address}`, FETCH], { unit: 'attacker' })
    await ssh.says(/last-hop/)
    stage.lastStep()
    await ssh.succeeds()
  },
  expect: {
    incidents: 1, detectors: ['NET-001', 'NET-002'], within_s: 5,
    hops: [
      {
        from: ENTRY.from,
        to: { zone: 'inference', node: 'inference', port: PROXY_PORT, exe: '/socat',
          uid: USERS.infer },
        bytes_sent_min: 1000, bytes_received_min: 1000,
      },
      {
        from: { zone: 'inference', node: 'inference', exe: '/socat', uid: USERS.infer }, to: SSHD,
        bytes_sent_min: 1000, bytes_received_min: 1000,
      },
      THEFT,
    ],
  },
}

export const passedConnection: Scenario = {
  name: 'passed-connection',
  title: 'the intruder hands the connection to a service that is no child of the model server',
  work: BESIDE,
  async act(stage) {
    const { cluster } = stage
    const program = cluster.compiled('test/rig/programs/passed_shell.c')
    const socket = '/srv/infer/batch.sock'
    const service = cluster.node('inference').start([program, 'take', socket],
      { unit: 'batch.service', user: 'infer' })
    await service.says(/ready/)
    const shell = await Foothold.by(cluster,
      `exec ${program} give ${socket} ${LISTENER.replace('/', ' ')}`)
    await shell.type(GO_ON, { word: 'last-hop', said: () => stage.lastStep() })
    await shell.leave()
  },
  // The connection itself is the way in: whoever made it gave it away.
  expect: { ...INTRUSION, hops: [{ from: ATTACKER, to: ON_INFERENCE }, TO_SSHD, THEFT] },
}

export const scan: Scenario = {
  name: 'scan',
  title: 'the intruder looks for open ports on three nodes',
  work: BESIDE,
  act: (stage) => intrude(stage, 'echo last-hop; ' + SCANNED.map((name) =>
    `nc -z -w 1 ${addressOf(name)} 1-150`).join('; ')),
  expect: { incidents: 1, detectors: ['NET-001', 'NET-003', 'NET-006'] },
}
