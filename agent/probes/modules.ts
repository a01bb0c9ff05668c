// The probes of connections that are not of IP: Unix sockets, and the two that are kernel modules.

import type { Probe } from './table.ts'

/** Part of every kernel. */
export const unixProbe: Probe = {
  name: 'unix_connection',
  ways: [
    {
      programs: ['unix_stream_fentry', 'unix_datagram_fentry'], attach_type: 'fentry', lost: '',
    },
    {
      programs: ['unix_stream_kprobe', 'unix_datagram_kprobe'], attach_type: 'kprobe', lost: '',
    },
    {
      programs: ['unix_iter'], attach_type: 'iterator', every_ms: 10_000,
      lost: 'Unix sockets connected across the border of a container for less than 10 s, and ' +
        'datagrams across it',
    },
  ],
  lost: 'Unix sockets that are connected across the border of a container',
}

/** In the order in which they are attached. */
export const moduleProbes: readonly Probe[] = [
  {
    name: 'vsock_connection',
    module: 'vsock',
    ways: [
      {
        programs: [
          'vsock_connect_fentry', 'vsock_connect_fexit', 'vsock_established_fentry',
          'vsock_accept_fexit', 'vsock_send_fexit', 'vsock_receive_fexit', 'vsock_release_fentry',
        ],
        attach_type: 'fexit', lost: '',
      },
      {
        programs: [
          'vsock_connect_kprobe', 'vsock_connect_kretprobe', 'vsock_established_kprobe',
          'vsock_accept_kprobe', 'vsock_accept_kretprobe', 'vsock_send_kprobe',
          'vsock_send_kretprobe', 'vsock_receive_kprobe', 'vsock_receive_kretprobe',
          'vsock_release_kprobe',
        ],
        attach_type: 'kretprobe', lost: '',
      },
    ],
    lost: 'connections over vsock, between a virtual machine and its host',
  },
  {
    name: 'rdma_manager',
    module: 'rdma_cm',
    ways: [
      {
        programs: ['rdma_attributes_fexit', 'rdma_iwarp_fentry'], attach_type: 'fexit', lost: '',
      },
      {
        programs: ['rdma_attributes_kprobe', 'rdma_attributes_kretprobe', 'rdma_iwarp_kprobe'],
        attach_type: 'kretprobe', lost: '',
      },
    ],
    lost: 'ports and caller of RDMA connections made by the connection manager, and all of iWARP',
  },
  {
    name: 'rdma_connection',
    module: 'ib_core',
    ways: [
      {
        programs: [
          'rdma_create_fexit', 'rdma_modify_fexit', 'rdma_modify_kernel_fexit',
          'rdma_destroy_fentry', 'rdma_handle_fentry',
        ],
        attach_type: 'fexit', lost: '',
      },
      {
        programs: [
          'rdma_create_kretprobe', 'rdma_modify_kprobe', 'rdma_modify_kretprobe',
          'rdma_modify_kernel_kprobe', 'rdma_modify_kernel_kretprobe', 'rdma_destroy_kprobe',
          'rdma_handle_kprobe',
        ],
        attach_type: 'kretprobe', lost: '',
      },
    ],
    lost: 'RDMA: which process connects a queue pair to which peer',
  },
]
