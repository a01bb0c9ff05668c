// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * TCP connections, IPv4 and IPv6: opened, closed, failed.
 *
 * The BTF tracepoint inet_sock_set_state (Linux 5.5) sees every change of state of every TCP
 * socket, whatever system call, io_uring request or kernel thread caused it, and loads where
 * trampolines and kprobes are refused. It is called in the process for connect and listen, but in
 * softirq for the end of a handshake and mostly for the end of a connection, where the current
 * task is whoever was interrupted. So the process is remembered per socket, from the calls that
 * are made in it: connect() and, where a program can see it return, accept(). Otherwise an
 * accepted connection names the process that listens.
 *
 * Not seen: connections of SMC over RDMA. Of MPTCP, each subflow is a connection.
 *
 * A program of the tracepoint that is interrupted by a softirq on the same CPU makes the kernel
 * skip the inner one (counted as recursion misses of the program). So no state here trusts that the
 * one before was seen: an unseen open is reported at the close, a stale entry is known by its
 * cookie.
 */
#include "connection_record.bpf.h"
#include "scope.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* connect(), in the process that called it: the only moment when it is known. */
static __always_inline void on_attempt(struct sock *sk)
{
	struct socket_entry entry = {};

	if (!scope_has_current())
		return;
	entry.cookie = bpf_get_socket_cookie(sk);
	entry.began = bpf_ktime_get_boot_ns();
	entry.direction = DIRECTION_OUTGOING;
	entry.process_source = PROCESS_SOURCE_CALLER;
	identity_fill(&entry.who, bpf_get_current_task_btf());
	entry_store(address_of(sk), &entry);
}

/* listen(), in the process that called it. */
static __always_inline void on_listen(struct sock *sk)
{
	struct listener *listener;

	if (!scope_has_current())
		return;
	listener = bpf_sk_storage_get(&listeners, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!listener) {
		fault_count(FAULT_LISTENER_UNMARKED);
		return;
	}
	identity_fill(&listener->who, bpf_get_current_task_btf());
	listener->called = 1;
	listener->told = 1;
	emit_listen(sk, &listener->who, bpf_get_socket_cookie(sk), bpf_ktime_get_boot_ns());
}

/* The end of a handshake without an entry: what kind of connection is this? False: not ours. */
static __always_inline bool entry_make(struct socket_entry *entry, struct sock *sk, int oldstate)
{
	struct listener *listener = NULL;

	entry->direction = DIRECTION_OUTGOING;
	if (oldstate == TCP_STATE_SYN_RECV) {
		entry->direction = DIRECTION_ACCEPTED;
		listener = bpf_sk_storage_get(&listeners, sk, NULL, 0);
	}
	if (listener) {
		identity_copy(&entry->who, &listener->who);
		entry->process_source = PROCESS_SOURCE_LISTENER;
		return true;
	}
	if (!scope_has_cgroup(sk->sk_cgrp_data.cgroup))
		return false;
	entry_without_process(entry, sk);
	return true;
}

/* Without an entry: made, unless it is not ours, and told. */
static __always_inline void on_established_new(struct sock *sk, struct tcp_sock *tcp, u64 key,
					       int oldstate)
{
	struct socket_entry entry = {};
	struct endpoint end;

	if (!entry_make(&entry, sk, oldstate)) {
		/* accept() may yet hand it to a process in scope, where no cookie can be made. */
		if (accept_visible && oldstate == TCP_STATE_SYN_RECV)
			bpf_get_socket_cookie(sk);
		return;
	}
	entry.cookie = bpf_get_socket_cookie(sk);
	entry.established = bpf_ktime_get_boot_ns();
	entry.opened = !accept_visible || entry.direction == DIRECTION_OUTGOING;
	if (entry.opened) {
		endpoint_fill(&end, sk, tcp);
		on_open(&entry, &end, entry.established);
	}
	entry_store(key, &entry);
}

/* A handshake ended well. In softirq. */
static __always_inline void on_established(struct sock *sk, int oldstate)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	struct socket_entry *known;
	struct endpoint end;
	u64 key;

	if (!tcp)
		return;
	key = address_of(sk);
	known = entry_find(key, sk).entry;
	if (!known) {
		on_established_new(sk, tcp, key, oldstate);
		return;
	}
	known->established = bpf_ktime_get_boot_ns();
	if (known->opened)
		return;
	known->opened = 1;
	endpoint_fill(&end, sk, tcp);
	on_open(known, &end, known->established);
}

/*
 * An attempt ended without a connection. Returns false when connect() itself failed and a program
 * that sees it return will report it with the reason.
 */
static __always_inline bool on_failed(struct sock *sk, const struct socket_entry *entry,
				      const struct endpoint *end, u64 now)
{
	u16 error = sk->sk_err;

	/* No error and still inside connect(): the node refused, after a state of SYN_SENT. */
	if (error == 0 && sk->sk_socket->state == SOCKET_UNCONNECTED) {
		if (connect_visible)
			return false;
		/* Without a local port the reason is clear: all are in use. Otherwise it is lost. */
		if (end->local_port == 0)
			error = EADDRNOTAVAIL;
	}
	emit_failed(entry, end, error, now);
	return true;
}

/* Older than the agent, or it did not fit: never guess from the current task. */
static __always_inline void on_closed_unknown(struct sock *sk, struct tcp_sock *tcp, int oldstate)
{
	struct socket_entry unknown = { .opened = 1 };
	struct endpoint end;
	u64 now;

	/* A handshake that a peer broke off is no connection of ours. */
	if (oldstate == TCP_STATE_SYN_RECV || !scope_has_cgroup(sk->sk_cgrp_data.cgroup))
		return;
	unknown.cookie = bpf_get_socket_cookie(sk);
	entry_without_process(&unknown, sk);
	endpoint_fill(&end, sk, tcp);
	now = bpf_ktime_get_boot_ns();
	if (oldstate == TCP_STATE_SYN_SENT)
		on_failed(sk, &unknown, &end, now);
	else
		emit_close(sk, tcp, &unknown, &end, now);
}

static __always_inline void on_closed(struct sock *sk, int oldstate)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	struct socket_place place;
	struct socket_entry *entry;
	struct endpoint end;
	u64 key, now;
	bool attempt;

	if (!tcp)
		return;
	key = address_of(sk);
	place = entry_find(key, sk);
	entry = place.entry;
	if (!entry) {
		on_closed_unknown(sk, tcp, oldstate);
		return;
	}
	endpoint_fill(&end, sk, tcp);
	now = bpf_ktime_get_boot_ns();
	/* SYN_RECV of a caller: both ends called at the same moment, in vain. */
	attempt = oldstate == TCP_STATE_SYN_SENT || oldstate == TCP_STATE_SYN_RECV;
	if (attempt && !entry->opened && entry->direction == DIRECTION_OUTGOING) {
		if (!on_failed(sk, entry, &end, now))
			return;
	} else {
		/* Nobody accepted it, or the kernel skipped us at the handshake's end. */
		if (!entry->opened)
			on_open(entry, &end, now);
		emit_close(sk, tcp, entry, &end, now);
	}
	entry_remove(key, place.owner);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(connection_state_tp_btf, struct sock *sk, int oldstate, int newstate)
{
	/* DCCP, SCTP and the upper half of MPTCP come by here, too. */
	if (sk->sk_protocol != PROTOCOL_TCP)
		return 0;
	switch (newstate) {
	case TCP_STATE_SYN_SENT:
		on_attempt(sk);
		break;
	case TCP_STATE_LISTEN:
		on_listen(sk);
		break;
	case TCP_STATE_ESTABLISHED:
		on_established(sk, oldstate);
		break;
	case TCP_STATE_CLOSE:
		/* Otherwise never a connection: a closed or listening socket. */
		if (oldstate != TCP_STATE_CLOSE && oldstate != TCP_STATE_LISTEN)
			on_closed(sk, oldstate);
		break;
	}
	return 0;
}
