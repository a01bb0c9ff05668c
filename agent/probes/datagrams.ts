// The probes of datagrams, raw sockets and name answers, as rows of the table.

import type { Probe } from './table.ts'

const needs = ' (its programs need cgroup v2 and CAP_NET_ADMIN)'

/** In the order in which they are attached. */
export const datagramProbes: readonly Probe[] = [
  {
    name: 'datagram_flow',
    ways: [{
      programs: [
        'datagram_socket_create', 'datagram_socket_release', 'flow_egress', 'flow_ingress',
      ],
      attach_type: 'cgroup', lost: '',
    }],
    lost: `datagrams: UDP, ICMP and raw IP${needs}`,
  },
  {
    name: 'datagram_totals',
    ways: [{ programs: ['flows_iter'], attach_type: 'iterator', every_ms: 10_000, lost: '' }],
    lost: 'how much goes over datagram flows after their first packet',
  },
]
