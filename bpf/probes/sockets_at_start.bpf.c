// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The sockets that are older than the agent: who listens, and whose connections they are.
 *
 * Found through the files of every process, in two passes after the other programs are attached.
 * The first finds out whose each socket is and which ports are listened on; the second tells them,
 * since only then the oldest holder and the direction are known.
 */
#include "connection_record.bpf.h"
#include "scope.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct listening_port {
	u32 netns;
	u16 port;
	u16 _pad;
};

/* Ports that somebody listened on at the first pass. Filled in process context. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct listening_port);
	__type(value, u8);
} listening_ports SEC(".maps");

static __always_inline void listening_port_fill(struct listening_port *key, struct sock *sk)
{
	key->netns = sk->__sk_common.skc_net.net->ns.inum;
	key->port = sk->__sk_common.skc_num;
	key->_pad = 0;
}

/* Several processes can hold one socket: the oldest, since it can only have handed it on. */
static __always_inline bool is_older(struct task_struct *task, const struct record_header *who)
{
	return !who->pid || task->group_leader->start_boottime < who->start_time;
}

static __always_inline bool is_of(const struct record_header *who, struct task_struct *task)
{
	return who->pid == task->tgid && who->start_time == task->group_leader->start_boottime;
}

/* The socket behind a file when it is one of TCP, in `state`. */
static __always_inline struct sock *tcp_socket_of(struct file *file, u8 *state)
{
	struct socket *socket = bpf_sock_from_file(file);
	struct sock *sk;
	u16 family;

	if (!socket)
		return NULL;
	sk = socket->sk;
	if (!sk || sk->sk_protocol != PROTOCOL_TCP)
		return NULL;
	family = sk->__sk_common.skc_family;
	if (family != AF_INET && family != AF_INET6)
		return NULL;
	*state = sk->__sk_common.skc_state;
	return sk;
}

static __always_inline void listener_found(struct sock *sk, struct task_struct *task)
{
	struct listener *listener;

	listener = bpf_sk_storage_get(&listeners, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!listener) {
		fault_count(FAULT_LISTENER_UNMARKED);
		return;
	}
	if (!listener->called && is_older(task, &listener->who))
		identity_fill(&listener->who, task);
}

static __always_inline void connection_found(struct sock *sk, struct task_struct *task, u8 state)
{
	struct socket_entry entry = {}, *known;
	u64 key = address_of(sk);

	entry.cookie = bpf_get_socket_cookie(sk);
	known = place_find(key).entry;
	if (known && known->cookie == entry.cookie) {
		if (known->at_start && is_older(task, &known->who))
			identity_fill(&known->who, task);
		return;
	}
	if (state == TCP_STATE_SYN_SENT) {
		entry.direction = DIRECTION_OUTGOING;
	} else {
		entry.opened = 1;
		entry.at_start = 1;
	}
	entry.process_source = PROCESS_SOURCE_CALLER;
	identity_fill(&entry.who, task);
	entry_store(key, &entry);
}

SEC("iter/task_file")
int listener_iter(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct listening_port port;
	struct sock *sk;
	u8 state, one = 1;

	if (!task || !file)
		return 0;
	sk = tcp_socket_of(file, &state);
	if (!sk || state == TCP_STATE_CLOSE)
		return 0;
	if (state == TCP_STATE_LISTEN) {
		/* Also out of scope: it says who called whom. */
		listening_port_fill(&port, sk);
		if (bpf_map_update_elem(&listening_ports, &port, &one, BPF_ANY) != 0)
			fault_count(FAULT_PORTS_FULL);
	}
	if (!scope_has_cgroup(task->cgroups->dfl_cgrp))
		return 0;
	if (state == TCP_STATE_LISTEN)
		listener_found(sk, task);
	else
		connection_found(sk, task, state);
	return 0;
}

static __always_inline void listener_tell(struct seq_file *seq, struct sock *sk,
					  struct task_struct *task)
{
	struct listener *listener = bpf_sk_storage_get(&listeners, sk, NULL, 0);
	struct listen record = {};

	if (!listener || listener->told || !is_of(&listener->who, task))
		return;
	record_stamp(&record.header, KIND_LISTEN, sizeof(record), bpf_ktime_get_boot_ns());
	identity_copy(&record.header, &listener->who);
	listen_fill(&record, sk, bpf_get_socket_cookie(sk));
	record.at_start = 1;
	/* When the page is full the kernel calls again with the same file. */
	if (bpf_seq_write(seq, &record, sizeof(record)) != 0)
		return;
	listener->told = 1;
	record_count(KIND_LISTEN, false);
}

/*
 * Who called whom is not written in a socket. A connection from a port that somebody listens on is
 * one that was accepted there.
 */
static __always_inline void connection_tell(struct seq_file *seq, struct sock *sk,
					    struct task_struct *task)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	struct connection_open record = {};
	struct listening_port port;
	struct socket_entry *entry;
	struct endpoint end;

	entry = place_find(address_of(sk)).entry;
	if (!tcp || !entry || entry->at_start != 1 || !is_of(&entry->who, task))
		return;
	if (entry->cookie != bpf_get_socket_cookie(sk))
		return;
	listening_port_fill(&port, sk);
	entry->direction = bpf_map_lookup_elem(&listening_ports, &port) ? DIRECTION_ACCEPTED :
									  DIRECTION_OUTGOING;
	endpoint_fill(&end, sk, tcp);
	record_stamp(&record.header, KIND_CONNECTION_OPEN, sizeof(record), bpf_ktime_get_boot_ns());
	identity_copy(&record.header, &entry->who);
	open_fill(&record, entry, &end);
	record.at_start = 1;
	if (bpf_seq_write(seq, &record, sizeof(record)) != 0)
		return;
	entry->at_start = 2;
	record_count(KIND_CONNECTION_OPEN, false);
}

SEC("iter/task_file")
int connection_iter(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct sock *sk;
	u8 state;

	if (!task || !file)
		return 0;
	sk = tcp_socket_of(file, &state);
	if (!sk)
		return 0;
	if (state == TCP_STATE_LISTEN)
		listener_tell(ctx->meta->seq, sk, task);
	else
		connection_tell(ctx->meta->seq, sk, task);
	return 0;
}
