// The services of the cluster, on the nodes where they belong.

import { join } from 'node:path'
import { addressOf, NODES, PORTS, WATCHED } from './layout.ts'
import type { RigNode } from './node.ts'
import type { Program } from './program.ts'
import type { User } from './users.ts'

export const STORE = `http://${addressOf('storage')}:${PORTS.store}`
const WEIGHTS_BYTES = 1_000_000

/** Starts all of them; each answers when this resolves. `etc` holds keys and settings. */
export async function startServices(
  nodes: ReadonlyMap<string, RigNode>, etc: string,
): Promise<Program[]> {
  const at = (name: string): RigNode => nodes.get(name)!
  const names = Object.fromEntries(NODES.map(({ name, addresses }) => [name, addresses[0]]))
  await Promise.all([
    at('orchestration').serve('name-server.ts', [JSON.stringify(names)], { unit: 'names.service' }),
    at('storage').serve('object-store.ts', [String(PORTS.store)],
      { unit: 'object-store.service', user: 'data' }),
    startRedis(at('storage')),
  ])
  const database = `${addressOf('storage')}:${PORTS.redis}`
  await Promise.all([
    at('inference').serve('inference-server.ts', [String(PORTS.inference),
      String(PORTS.inference_grpc), database, `${STORE}/data/${WEIGHTS_BYTES}`],
    { unit: 'llm.service', user: 'infer' }),
    at('ingestion').serve('ingestion-gateway.ts', [String(PORTS.ingestion), `${STORE}/incoming`],
      { unit: 'gateway.service', user: 'data' }),
    ...WATCHED.map((name) => startSshd(at(name), etc)),
  ])
  return Promise.all(['training-1', 'training-2'].map((name) => startTrainer(at(name))))
}

function startTrainer(node: RigNode): Promise<Program> {
  const peers = ['training-1', 'training-2'].filter((name) => name !== node.name)
    .map((name) => `${addressOf(name as 'training-1')}:${PORTS.trainer}`)
  return node.serve('trainer.ts', [String(PORTS.trainer), STORE, ...peers],
    { unit: 'slurmstepd.scope/job_42/step_0', user: 'train' })
}

async function startRedis(node: RigNode): Promise<void> {
  const redis = node.start(['/usr/bin/redis-server', '--port', String(PORTS.redis), '--save', '',
    '--appendonly', 'no', '--protected-mode', 'no', '--dir', '/srv/data'],
  { unit: 'redis.service', user: 'data' })
  await redis.says(/Ready to accept connections/)
}

/** As root, as everywhere; the keys of operators open every node. */
async function startSshd(node: RigNode, etc: string): Promise<void> {
  allowKey(node, 'ops', join(etc, 'ops.pub'))
  if (node.name === 'orchestration') giveKey(node, 'ops', join(etc, 'ops'))
  // A key that was left behind: the door that attackers find.
  if (node.name === 'training-1') allowKey(node, 'train', join(etc, 'deploy.pub'))
  if (node.name === 'inference') giveKey(node, 'infer', join(etc, 'deploy'))
  const sshd = node.start(['/usr/sbin/sshd', '-D', '-e', '-f', join(etc, 'sshd_config')],
    { unit: 'ssh.service' })
  await sshd.says(/Server listening on 0\.0\.0\.0/, 'stderr')
}

function allowKey(node: RigNode, user: User, publicKey: string): void {
  node.do('sh', '-c', `cat ${publicKey} >> /home/${user}/.ssh/authorized_keys`)
}

function giveKey(node: RigNode, user: User, privateKey: string): void {
  node.do('install', '-m', '600', '-o', user, '-g', user, privateKey,
    `/home/${user}/.ssh/id_ed25519`)
}
