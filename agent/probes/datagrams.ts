// The probes of datagrams, raw sockets and name answers, as rows of the table.

import type { Probe } from './table.ts'

const needs = ' (its programs need cgroup v2 and CAP_NET_ADMIN)'

/** In the order in which they are attached. */
export const datagramProbes: readonly Probe[] = [
  {
    name: 'raw_socket',
    ways: [
      { programs: ['raw_socket_fentry'], attach_type: 'fentry', lost: '' },
      { programs: ['raw_socket_create'], attach_type: 'cgroup', lost: '' },
    ],
    lost: 'raw IP sockets: who can forge packets, and read those of others',
  },
  {
    name: 'packet_socket',
    ways: [
      { programs: ['packet_socket_fentry'], attach_type: 'fentry', lost: '' },
      {
        programs: ['packet_sockets_iter'], attach_type: 'iterator', every_ms: 10_000,
        lost: 'packet sockets that live shorter than 10 s',
      },
    ],
    lost: 'packet sockets: who reads, and forges, everything on the wire',
  },
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
    name: 'datagram_listen',
    ways: [{
      programs: [
        'datagram_bind_v4', 'datagram_bind_v6', 'datagram_bound_v4', 'datagram_bound_v6',
      ],
      attach_type: 'cgroup', lost: '',
    }],
    lost: `who opens UDP ports${needs}`,
  },
  {
    name: 'dns_answer',
    ways: [{
      programs: ['dns_answer_ingress'], attach_type: 'cgroup',
      lost: 'the names that a process learns over TCP, TLS or HTTPS',
    }],
    lost: `which addresses stand for which names${needs}`,
  },
  {
    name: 'datagram_totals',
    ways: [{ programs: ['flows_iter'], attach_type: 'iterator', every_ms: 10_000, lost: '' }],
    lost: 'how much goes over datagram flows after their first packet',
  },
  {
    name: 'datagram_sockets_at_start',
    ways: [{
      programs: ['datagram_sockets_iter', 'raw_sockets_iter'], attach_type: 'iterator', lost: '',
    }],
    lost: 'whose the UDP, raw and packet sockets are that were there before the agent started',
  },
]
