// The nodes of the rig and where their services are. The policy (policy.yaml) names the same
// networks; nothing outside of 10.0.0.0/8 exists.

import type { NodeOptions } from './node.ts'

/** Nodes with an agent, in the order in which they start. */
export const WATCHED = [
  'orchestration', 'storage', 'training-1', 'training-2', 'inference', 'ingestion',
] as const
export type WatchedName = typeof WATCHED[number]
export type NodeName = WatchedName | 'outside'

/** `outside` is the rest of the world: users first, then the attacker. */
export const NODES: readonly (NodeOptions & { name: NodeName })[] = [
  { name: 'orchestration', addresses: ['10.40.0.5'] },
  { name: 'storage', addresses: ['10.50.0.31'] },
  { name: 'training-1', addresses: ['10.20.0.11'] },
  { name: 'training-2', addresses: ['10.20.0.12'] },
  { name: 'inference', addresses: ['10.30.0.21'] },
  { name: 'ingestion', addresses: ['10.10.0.2'] },
  { name: 'outside', addresses: ['10.99.0.10', '10.99.0.66'] },
]

export const USER_ADDRESS = '10.99.0.10'
export const ATTACKER_ADDRESS = '10.99.0.66'

/** Ports that services listen on. */
export const PORTS = {
  ssh: 22, name: 53, time: 123, redis: 6379, correlator: 7411, agent_http: 7413,
  inference: 8000, inference_grpc: 8001, ingestion: 8443, store: 9000, trainer: 29_500,
  /** The relay between the agents and the correlator: one port per node from here on. */
  uplink: 17_411,
} as const

/** First address of a node. */
export function addressOf(name: NodeName): string {
  return NODES.find((node) => node.name === name)!.addresses[0]!
}

/** Where the agent of a node finds the correlator. */
export function uplinkPort(name: WatchedName): number {
  return PORTS.uplink + WATCHED.indexOf(name)
}
