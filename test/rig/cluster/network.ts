// The network of the rig: one bridge in a namespace of its own, a veth to each node. Nothing of it
// is in the network of the machine, and it goes with the processes that hold the namespaces.

import { execFileSync } from 'node:child_process'
import type { RigNode } from './node.ts'

/** Joins the nodes to a bridge in the network namespace of `fabric`. */
export function joinNodes(fabric: RigNode, nodes: readonly RigNode[]): void {
  fabric.do('ip', 'link', 'add', 'br0', 'type', 'bridge')
  fabric.do('ip', 'link', 'set', 'br0', 'up')
  nodes.forEach((node, index) => {
    const end = `node${index}`
    execFileSync('nsenter', ['-t', String(fabric.holderPid), '-n', 'ip', 'link', 'add', end,
      'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(node.holderPid)])
    fabric.do('ip', 'link', 'set', end, 'master', 'br0', 'up')
    for (const address of node.addresses) {
      node.do('ip', 'addr', 'add', `${address}/8`, 'dev', 'eth0')
    }
    node.do('ip', 'link', 'set', 'eth0', 'up')
  })
}
