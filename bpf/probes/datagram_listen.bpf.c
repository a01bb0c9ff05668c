// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Who takes datagrams from anyone on a port: a UDP socket that was bound to a port of its choice.
 * A port that the kernel chose is that of a client; if it serves all the same, its flows say so.
 *
 * bind() is seen by the hooks of cgroups, before it (the port that is asked for) and after it (the
 * port that it got). Sockets that are older than the agent are found through the files of
 * processes.
 */
#include "datagram_socket.bpf.h"
#include "scope.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* sock.sk_userlocks: the port was asked for. */
#define LOCK_PORT 8

struct sock___bound {
	u8 sk_userlocks : 4;
} __attribute__((preserve_access_index));

static __always_inline bool is_udp(u32 protocol)
{
	return protocol == PROTOCOL_UDP || protocol == PROTOCOL_UDPLITE;
}

static __always_inline int on_bind(struct bpf_sock_addr *call)
{
	struct datagram_socket *used;

	if (!is_udp(call->protocol) || !call->sk)
		return PASS;
	used = socket_used(call->sk);
	if (used)
		used->port_asked = call->user_port != 0;
	return PASS;
}

SEC("cgroup/bind4")
int datagram_bind_v4(struct bpf_sock_addr *call)
{
	return on_bind(call);
}

SEC("cgroup/bind6")
int datagram_bind_v6(struct bpf_sock_addr *call)
{
	return on_bind(call);
}

/* Bound. NULL when it is nothing to tell; otherwise the record with all but the address. */
static __always_inline struct listen *on_bound(struct bpf_sock *socket)
{
	struct datagram_socket *used;
	struct listen *record;
	struct sock *sk;

	if (!is_udp(socket->protocol))
		return NULL;
	used = bpf_sk_storage_get(&datagram_sockets, socket, NULL, 0);
	if (!used || !used->port_asked)
		return NULL;
	record = record_reserve(KIND_LISTEN, sizeof(*record), bpf_ktime_get_boot_ns(),
				used->who.cgroup_id);
	used->told = 1;
	if (!record)
		return NULL;
	sk = socket_address(socket);
	identity_copy(&record->header, &used->who);
	record->connection_id = bpf_get_socket_cookie(socket);
	record->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	record->local_port = socket->src_port;
	record->protocol = socket->protocol;
	return record;
}

SEC("cgroup/post_bind4")
int datagram_bound_v4(struct bpf_sock *socket)
{
	struct listen *record = on_bound(socket);

	if (!record)
		return PASS;
	if (socket->src_ip4)
		address_map_v4((u32 *)record->local_addr, socket->src_ip4);
	record_submit(record);
	return PASS;
}

SEC("cgroup/post_bind6")
int datagram_bound_v6(struct bpf_sock *socket)
{
	struct listen *record = on_bound(socket);
	u32 *address;

	if (!record)
		return PASS;
	address = (u32 *)record->local_addr;
	address[0] = socket->src_ip6[0];
	address[1] = socket->src_ip6[1];
	address[2] = socket->src_ip6[2];
	address[3] = socket->src_ip6[3];
	record_submit(record);
	return PASS;
}

/* Bound to a port of its choice, and open to anyone. */
static __always_inline void listener_tell(struct seq_file *seq, struct sock *sk,
					  struct datagram_socket *used)
{
	struct sock___bound *bound = (void *)sk;
	struct listen record = {};

	if (used->told || !is_udp(sk->sk_protocol) ||
	    sk->__sk_common.skc_state == TCP_STATE_ESTABLISHED)
		return;
	if (!(BPF_CORE_READ_BITFIELD_PROBED(bound, sk_userlocks) & LOCK_PORT))
		return;
	record_stamp(&record.header, KIND_LISTEN, sizeof(record), bpf_ktime_get_boot_ns());
	identity_copy(&record.header, &used->who);
	endpoint_local(record.local_addr, sk);
	record.connection_id = bpf_get_socket_cookie(sk);
	record.netns = sk->__sk_common.skc_net.net->ns.inum;
	record.local_port = sk->__sk_common.skc_num;
	record.protocol = sk->sk_protocol;
	record.at_start = 1;
	if (bpf_seq_write(seq, &record, sizeof(record)) != 0)
		return;
	record_count(KIND_LISTEN, false);
	used->told = 1;
}

/*
 * Once at start, after the other programs are attached: marks the datagram sockets that were there
 * before with the process that holds them. Of several holders the oldest, since it can only have
 * handed it on; it mostly comes first, in the order of process ids.
 */
SEC("iter/task_file")
int datagram_sockets_iter(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct datagram_socket *used;
	struct socket *socket;
	struct sock *sk;
	u16 family;

	if (!task || !file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk || sk->sk_type == SOCKET_TYPE_STREAM)
		return 0;
	family = sk->__sk_common.skc_family;
	if (family != AF_INET && family != AF_INET6)
		return 0;
	if (!scope_has_cgroup(task->cgroups->dfl_cgrp))
		return 0;
	used = bpf_sk_storage_get(&datagram_sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!used) {
		fault_count(FAULT_DATAGRAM_SOCKET_UNMARKED);
		return 0;
	}
	if (!used->who.pid || task->group_leader->start_boottime < used->who.start_time)
		identity_fill(&used->who, task);
	listener_tell(ctx->meta->seq, sk, used);
	return 0;
}
