// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Raw and packet sockets: who makes one can forge packets, and read those of others.
 *
 * At the security hook after socket(), by fentry; where trampolines are refused, at the hook of
 * cgroups, which is for the internet families only: packet sockets are then looked for in the files
 * of processes, again and again. So are those of both kinds that are older than the agent, once.
 */
#include "datagram_socket.bpf.h"
#include "scope.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define AF_PACKET 17

/* Type of the frames that a packet socket gets. */
struct packet_sock {
	u16 num;
} __attribute__((preserve_access_index));

static __always_inline void protocol_fill(struct raw_socket *record, struct sock *sk)
{
	struct packet_sock *packets = (void *)sk;

	if (record->family != AF_PACKET)
		record->protocol_number = BPF_CORE_READ(sk, sk_protocol);
	else if (bpf_core_field_exists(packets->num))
		record->protocol_number = __builtin_bswap16(BPF_CORE_READ(packets, num));
}

/* In the process that called socket(). */
static __always_inline void on_raw_socket(void *socket, struct sock *sk, u64 cookie)
{
	struct datagram_socket *used = socket_used(socket);
	struct task_struct *task = bpf_get_current_task_btf();
	struct raw_socket *record;

	if (used)
		used->told = 1;
	record = record_reserve(KIND_RAW_SOCKET, sizeof(*record), bpf_ktime_get_boot_ns(),
				cgroup_id_of(task));
	if (!record)
		return;
	identity_fill(&record->header, task);
	record->connection_id = cookie;
	record->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	record->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	record->socket_type = BPF_CORE_READ(sk, sk_type);
	protocol_fill(record, sk);
	record_submit(record);
}

static __always_inline bool is_raw(int family, int type)
{
	return (family == AF_INET || family == AF_INET6) && type == SOCKET_TYPE_RAW;
}

SEC("fentry/security_socket_post_create")
int BPF_PROG(raw_socket_fentry, struct socket *socket, int family, int type, int protocol, int kern)
{
	struct sock *sk = socket->sk;

	if (!kern && sk && is_raw(family, type) && scope_has_current())
		on_raw_socket(sk, sk, bpf_get_socket_cookie(sk));
	return 0;
}

SEC("fentry/security_socket_post_create")
int BPF_PROG(packet_socket_fentry, struct socket *socket, int family, int type, int protocol,
	     int kern)
{
	struct sock *sk = socket->sk;

	if (!kern && sk && family == AF_PACKET && scope_has_current())
		on_raw_socket(sk, sk, bpf_get_socket_cookie(sk));
	return 0;
}

SEC("cgroup/sock_create")
int raw_socket_create(struct bpf_sock *socket)
{
	if (socket->type == SOCKET_TYPE_RAW)
		on_raw_socket(socket, socket_address(socket), bpf_get_socket_cookie(socket));
	return PASS;
}

/* What a descriptor stands for when it is a raw or packet socket in scope; otherwise NULL. */
static __always_inline struct sock *raw_socket_of(struct bpf_iter__task_file *ctx)
{
	struct file *file = ctx->file;
	struct socket *socket;
	struct sock *sk;
	u16 family;

	if (!ctx->task || !file)
		return NULL;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return NULL;
	sk = socket->sk;
	if (!sk)
		return NULL;
	family = sk->__sk_common.skc_family;
	if (family != AF_PACKET && !is_raw(family, sk->sk_type))
		return NULL;
	return sk;
}

static __always_inline void found(struct bpf_iter__task_file *ctx, struct sock *sk)
{
	struct task_struct *task = ctx->task;
	struct seq_file *seq = ctx->meta->seq;
	struct datagram_socket *used;
	struct raw_socket record = {};

	if (!task || !scope_has_cgroup(task->cgroups->dfl_cgrp))
		return;
	used = bpf_sk_storage_get(&datagram_sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!used) {
		fault_count(FAULT_DATAGRAM_SOCKET_UNMARKED);
		return;
	}
	if (used->told)
		return;
	record_stamp(&record.header, KIND_RAW_SOCKET, sizeof(record), bpf_ktime_get_boot_ns());
	identity_fill(&record.header, task);
	record.connection_id = bpf_get_socket_cookie(sk);
	record.netns = sk->__sk_common.skc_net.net->ns.inum;
	record.family = sk->__sk_common.skc_family;
	record.socket_type = sk->sk_type;
	record.at_start = 1;
	protocol_fill(&record, sk);
	if (bpf_seq_write(seq, &record, sizeof(record)) != 0)
		return;
	record_count(KIND_RAW_SOCKET, false);
	used->told = 1;
}

/* Once at start. */
SEC("iter/task_file")
int raw_sockets_iter(struct bpf_iter__task_file *ctx)
{
	struct sock *sk = raw_socket_of(ctx);

	if (sk)
		found(ctx, sk);
	return 0;
}

/* Every ten seconds, where nothing sees them being made. */
SEC("iter/task_file")
int packet_sockets_iter(struct bpf_iter__task_file *ctx)
{
	struct sock *sk = raw_socket_of(ctx);

	if (sk && sk->__sk_common.skc_family == AF_PACKET)
		found(ctx, sk);
	return 0;
}
