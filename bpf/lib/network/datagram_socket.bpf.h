/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What is remembered of a datagram or raw socket. Shared by the probes of datagrams. */
#ifndef VEDETTE_DATAGRAM_SOCKET_BPF_H
#define VEDETTE_DATAGRAM_SOCKET_BPF_H

#include "record.bpf.h"
#include "identity.bpf.h"
#include "packet.bpf.h"

/* What every cgroup program returns: go on. */
#define PASS 1

/* One flow: a socket and a peer. */
struct flow_key {
	u64 cookie;
	u32 local_addr[4];
	u32 remote_addr[4];
	u16 local_port;
	u16 remote_port;
	u8 protocol;
	u8 _pad[3];
};

/* Who uses a datagram or raw socket. Goes with the socket: nothing to evict. */
struct datagram_socket {
	/* Only the process part is in use. pid 0: not known. */
	struct record_header who;
	/* Of the latest flow. */
	struct flow_key flow;
	/* Flows that were made on it. */
	u32 flows;
	/* The port was asked for, not chosen by the kernel. */
	u8 port_asked;
	/* Its listen or raw_socket is out. */
	u8 told;
	u8 _pad[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct datagram_socket);
} datagram_sockets __weak SEC(".maps");

/* The kernel's address of a socket, for reads that the verifier need not understand. */
static __always_inline struct sock *socket_address(struct bpf_sock *socket)
{
	struct sock *sk = NULL;

	bpf_probe_read_kernel(&sk, sizeof(sk), &socket);
	return sk;
}

/* The mark on a socket of any type that the verifier knows, with the current process on it. */
static __always_inline struct datagram_socket *socket_used(void *socket)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct datagram_socket *used;

	used = bpf_sk_storage_get(&datagram_sockets, socket, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!used) {
		fault_count(FAULT_DATAGRAM_SOCKET_UNMARKED);
		return NULL;
	}
	if (used->who.pid != task->tgid ||
	    used->who.start_time != task->group_leader->start_boottime)
		identity_fill(&used->who, task);
	return used;
}

#endif
