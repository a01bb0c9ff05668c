// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The sockets that are older than the agent: who listens, and whose connections they are. */
#include "sockets.bpf.h"
#include "identity.bpf.h"
#include "scope.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Several processes can hold one socket: the oldest, since it can only have handed it on. */
static __always_inline void listener_found(struct sock *sk, struct task_struct *task)
{
	struct listener *listener;

	listener = bpf_sk_storage_get(&listeners, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!listener) {
		fault_count(FAULT_LISTENER_UNMARKED);
		return;
	}
	if (listener->called)
		return;
	if (listener->who.pid && listener->who.start_time <= task->group_leader->start_boottime)
		return;
	identity_fill(&listener->who, task);
}

static __always_inline void connection_found(struct sock *sk, struct task_struct *task, u8 state)
{
	struct socket_entry entry = {}, *known;
	u64 key = (u64)sk;

	entry.cookie = bpf_get_socket_cookie(sk);
	known = bpf_map_lookup_elem(&sockets, &key);
	if (known && known->cookie == entry.cookie)
		return;
	if (state == TCP_STATE_SYN_SENT) {
		entry.direction = DIRECTION_OUTGOING;
	} else {
		/* Who called whom is not written in the socket; its open was before our time. */
		entry.opened = 1;
	}
	entry.process_source = PROCESS_SOURCE_CALLER;
	identity_fill(&entry.who, task);
	entry_store(key, &entry);
}

/*
 * The sockets that were there before us, found through the files of every process, once at start,
 * after the other programs are attached. Marks listeners, and remembers connections with the
 * process that holds them, so that their close names it. Emits nothing.
 */
SEC("iter/task_file")
int listener_iter(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct socket *socket;
	struct sock *sk;
	u16 family;
	u8 state;

	if (!task || !file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk || sk->sk_protocol != PROTOCOL_TCP)
		return 0;
	family = sk->__sk_common.skc_family;
	if (family != AF_INET && family != AF_INET6)
		return 0;
	if (!scope_has_cgroup(task->cgroups->dfl_cgrp))
		return 0;
	state = sk->__sk_common.skc_state;
	if (state == TCP_STATE_LISTEN)
		listener_found(sk, task);
	else if (state != TCP_STATE_CLOSE)
		connection_found(sk, task, state);
	return 0;
}
