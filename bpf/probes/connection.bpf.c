// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * TCP connections, IPv4 and IPv6: opened, closed, failed.
 *
 * The BTF tracepoint inet_sock_set_state (Linux 5.5) sees every change of state of every TCP socket,
 * whatever system call, io_uring request or kernel thread caused it, and loads where trampolines
 * and kprobes are refused. It is called in the process for connect and listen, but in softirq for
 * the end of a handshake and mostly for the end of a connection, where the current task is
 * whoever was interrupted. So the process is remembered per socket, from the calls that are made in
 * it: connect() and, where a program can see it return, accept(). Otherwise an accepted connection
 * names the process that listens.
 *
 * Not seen: connections of SMC over RDMA. Of MPTCP, each subflow is a connection.
 *
 * A program of the tracepoint that is interrupted by a softirq on the same CPU makes the kernel skip
 * the inner one (counted as recursion misses of the program). So no state here trusts that the one
 * before was seen: an unseen open is reported at the close, a stale entry is known by its cookie.
 */
#include "record.bpf.h"
#include "identity.bpf.h"
#include "scope.bpf.h"
#include "endpoint.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct socket_entry {
	/* Tells this socket from the next one at the same address; 0 while it has none. */
	u64 cookie;
	/* When the attempt began, when the connection stood; 0 when not seen. Nanoseconds of boot. */
	u64 began;
	u64 established;
	/* Only the process part is in use. */
	struct record_header who;
	u8 direction;
	u8 process_source;
	/* connection_open is out. */
	u8 opened;
	u8 _pad[5];
};

/*
 * Connections and attempts, by address of the socket. The size is set by the loader, allocated at
 * once: no allocation in softirq. Not sk_storage, which would grow with the node's connections,
 * and which kprobes cannot reach.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, u64);
	__type(value, struct socket_entry);
} sockets SEC(".maps");

struct listener {
	struct record_header who;
	/* listen() was seen: better than any process that merely holds the socket. */
	u64 called;
};

/*
 * Marks on listening sockets: who listens. The kernel clones a mark into each socket that the
 * listener accepts (BPF_F_CLONE), so that the right listener is known among several on one port
 * (SO_REUSEPORT), and the mark goes with the socket: nothing to evict. A connection without a mark
 * costs those out of scope one look at a NULL pointer.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct listener);
} listeners SEC(".maps");

/* connect() in progress, for the kprobe pair only: the return does not know the arguments. */
struct connecting_key {
	u64 pid_tgid;
	u64 family;
};

struct connecting_call {
	u64 sk;
	u64 address;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct connecting_key);
	__type(value, struct connecting_call);
} connecting SEC(".maps");

/* What the socket itself says when no process is known: the cgroup of whoever made it. */
static __always_inline void entry_without_process(struct socket_entry *entry, struct sock *sk)
{
	entry->who.cgroup_id = sk->sk_cgrp_data.cgroup->kn->id;
	entry->process_source = PROCESS_SOURCE_UNSPECIFIED;
}

static __always_inline void entry_store(u64 key, struct socket_entry *entry)
{
	if (bpf_map_update_elem(&sockets, &key, entry, BPF_ANY) != 0)
		fault_count(FAULT_SOCKETS_FULL);
}

/* The entry of this very socket; NULL, and gone, when it was that of an earlier one. */
static __always_inline struct socket_entry *entry_find(u64 key, u64 cookie)
{
	struct socket_entry *entry = bpf_map_lookup_elem(&sockets, &key);

	/* Accepted before it had a cookie, which accept() cannot make: this is it. */
	if (entry && entry->cookie == 0)
		entry->cookie = cookie;
	if (!entry || entry->cookie == cookie)
		return entry;
	bpf_map_delete_elem(&sockets, &key);
	fault_count(FAULT_SOCKET_STALE);
	return NULL;
}

static __always_inline void emit_open(const struct socket_entry *entry, const struct endpoint *end)
{
	struct connection_open *record;

	record = record_reserve(KIND_CONNECTION_OPEN, sizeof(*record));
	if (!record)
		return;
	identity_copy(&record->header, &entry->who);
	__builtin_memcpy(record->local_addr, end->local_addr, 16);
	__builtin_memcpy(record->remote_addr, end->remote_addr, 16);
	record->connection_id = entry->cookie;
	record->netns = end->netns;
	record->local_port = end->local_port;
	record->remote_port = end->remote_port;
	record->protocol = PROTOCOL_TCP;
	record->direction = entry->direction;
	record->process_source = entry->process_source;
	record_submit(record);
}

static __always_inline void emit_close(struct sock *sk, struct tcp_sock *tcp,
				       const struct socket_entry *entry, const struct endpoint *end)
{
	struct connection_close *record;
	u64 received = tcp->bytes_received, sent = tcp->bytes_sent, again = tcp->bytes_retrans;

	record = record_reserve(KIND_CONNECTION_CLOSE, sizeof(*record));
	if (!record)
		return;
	identity_copy(&record->header, &entry->who);
	__builtin_memcpy(record->local_addr, end->local_addr, 16);
	__builtin_memcpy(record->remote_addr, end->remote_addr, 16);
	record->connection_id = entry->cookie;
	/* The kernel counts a retransmission before it tries, and the try may find no memory. */
	record->bytes_sent = sent > again ? sent - again : 0;
	/* The peer's FIN takes one sequence number and is counted as a byte. */
	if (received > 0 && (sk->__sk_common.skc_flags & (1UL << SOCKET_FLAG_DONE)))
		received--;
	record->bytes_received = received;
	if (entry->established)
		record->duration_ns = record->header.time - entry->established;
	record->netns = end->netns;
	record->retransmits = tcp->total_retrans;
	/* The kernel keeps eight times the value. */
	record->rtt_us = tcp->srtt_us >> 3;
	record->local_port = end->local_port;
	record->remote_port = end->remote_port;
	record->error = sk->sk_err;
	record->protocol = PROTOCOL_TCP;
	record->direction = entry->direction;
	record->process_source = entry->process_source;
	record_submit(record);
}

static __always_inline void emit_failed(const struct socket_entry *entry,
					const struct endpoint *end, u16 error)
{
	struct connection_failed *record;

	record = record_reserve(KIND_CONNECTION_FAILED, sizeof(*record));
	if (!record)
		return;
	identity_copy(&record->header, &entry->who);
	__builtin_memcpy(record->local_addr, end->local_addr, 16);
	__builtin_memcpy(record->remote_addr, end->remote_addr, 16);
	if (entry->began)
		record->duration_ns = record->header.time - entry->began;
	record->netns = end->netns;
	record->local_port = end->local_port;
	record->remote_port = end->remote_port;
	record->error = error;
	record->protocol = PROTOCOL_TCP;
	record_submit(record);
}

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
	entry_store((u64)sk, &entry);
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

/* A handshake ended well. In softirq. */
static __always_inline void on_established(struct sock *sk, int oldstate)
{
	struct socket_entry entry = {}, *known;
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	struct endpoint end;
	u64 key = (u64)sk;

	if (!tcp)
		return;
	known = bpf_map_lookup_elem(&sockets, &key);
	if (!known && !entry_make(&entry, sk, oldstate)) {
		/* accept() may yet hand it to a process in scope, where no cookie can be made. */
		if (accept_visible && oldstate == TCP_STATE_SYN_RECV)
			bpf_get_socket_cookie(sk);
		return;
	}
	entry.cookie = bpf_get_socket_cookie(sk);
	entry.established = bpf_ktime_get_boot_ns();
	if (known) {
		known = entry_find(key, entry.cookie);
		if (!known && !entry_make(&entry, sk, oldstate))
			return;
	}
	endpoint_fill(&end, sk, tcp);
	if (known) {
		known->established = entry.established;
		if (!known->opened) {
			known->opened = 1;
			emit_open(known, &end);
		}
		return;
	}
	entry.opened = !accept_visible || entry.direction == DIRECTION_OUTGOING;
	if (entry.opened)
		emit_open(&entry, &end);
	entry_store(key, &entry);
}

/*
 * An attempt ended without a connection. Returns false when connect() itself failed and a program
 * that sees it return will report it with the reason.
 */
static __always_inline bool on_failed(struct sock *sk, const struct socket_entry *entry,
				      const struct endpoint *end)
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
	emit_failed(entry, end, error);
	return true;
}

static __always_inline void on_closed(struct sock *sk, int oldstate)
{
	struct socket_entry unknown = {}, *entry;
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	struct endpoint end;
	u64 key = (u64)sk;
	bool attempt;

	/* Never a connection: a closed or listening socket. */
	if (oldstate == TCP_STATE_CLOSE || oldstate == TCP_STATE_LISTEN || !tcp)
		return;
	entry = bpf_map_lookup_elem(&sockets, &key);
	if (!entry) {
		/* A handshake that a peer broke off is no connection of ours. */
		if (oldstate == TCP_STATE_SYN_RECV)
			return;
		if (!scope_has_cgroup(sk->sk_cgrp_data.cgroup))
			return;
	}
	unknown.cookie = bpf_get_socket_cookie(sk);
	if (entry) {
		entry = entry_find(key, unknown.cookie);
		if (!entry && (oldstate == TCP_STATE_SYN_RECV ||
			       !scope_has_cgroup(sk->sk_cgrp_data.cgroup)))
			return;
	}
	endpoint_fill(&end, sk, tcp);
	if (!entry) {
		/* Older than the agent, or it did not fit: never guess from the current task. */
		unknown.opened = 1;
		entry_without_process(&unknown, sk);
		if (oldstate == TCP_STATE_SYN_SENT)
			on_failed(sk, &unknown, &end);
		else
			emit_close(sk, tcp, &unknown, &end);
		return;
	}
	/* SYN_RECV of a caller: both ends called at the same moment, in vain. */
	attempt = oldstate == TCP_STATE_SYN_SENT || oldstate == TCP_STATE_SYN_RECV;
	if (attempt && !entry->opened && entry->direction == DIRECTION_OUTGOING) {
		if (!on_failed(sk, entry, &end))
			return;
	} else {
		/* Nobody accepted it, or the kernel skipped us at the handshake's end. */
		if (!entry->opened)
			emit_open(entry, &end);
		emit_close(sk, tcp, entry, &end);
	}
	bpf_map_delete_elem(&sockets, &key);
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
		on_closed(sk, oldstate);
		break;
	}
	return 0;
}

/*
 * accept() returned `sk`, in the process that called it. The socket is not locked: it may close on
 * another CPU at the same time. So the entry is copied and replaced as a whole, never written in
 * place, and the copy counts only when its cookie was still that of the socket.
 */
static __always_inline void on_accepted(struct sock *sk)
{
	struct socket_entry entry = {}, *known;
	struct endpoint end = {};
	u64 key = (u64)sk, cookie;
	u8 opened;

	if (!sk || BPF_CORE_READ(sk, sk_protocol) != PROTOCOL_TCP)
		return;
	known = bpf_map_lookup_elem(&sockets, &key);
	if (!known && !scope_has_current())
		return;
	cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	if (known)
		entry = *known;
	if (entry.cookie != cookie) {
		if (!scope_has_current())
			return;
		known = NULL;
		entry.began = 0;
		entry.established = 0;
		entry.opened = 0;
		entry.cookie = cookie;
	}
	opened = entry.opened;
	/*
	 * No cookie yet: TCP fast open, accepted before the handshake's end, which then reports it; or
	 * it waited to be accepted since before we were attached, and its close does.
	 */
	if (cookie)
		entry.opened = 1;
	entry.direction = DIRECTION_ACCEPTED;
	entry.process_source = PROCESS_SOURCE_CALLER;
	identity_fill(&entry.who, bpf_get_current_task_btf());
	/* Closed while it waited to be accepted: the close has said everything. */
	if (BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_STATE_CLOSE)
		return;
	if (known) {
		if (bpf_map_update_elem(&sockets, &key, &entry, BPF_EXIST) != 0)
			return;
	} else {
		entry_store(key, &entry);
	}
	if (opened || !cookie)
		return;
	endpoint_read(&end, sk);
	emit_open(&entry, &end);
}

/*
 * The return value by helper (Linux 5.17), since its place among the arguments moved in Linux 6.10:
 * (sk, flags, err, kern) became (sk, arg).
 */
SEC("fexit/inet_csk_accept")
int BPF_PROG(connection_accept_fexit)
{
	u64 sk = 0;

	bpf_get_func_ret(ctx, &sk);
	on_accepted((struct sock *)sk);
	return 0;
}

SEC("kretprobe/inet_csk_accept")
int BPF_KRETPROBE(connection_accept_kretprobe, struct sock *sk)
{
	on_accepted(sk);
	return 0;
}

/* sockaddr_in and sockaddr_in6: the same on every kernel. */
struct address_v4 {
	u16 family;
	u16 port;
	u32 address;
};

struct address_v6 {
	u16 family;
	u16 port;
	u32 flow;
	u32 address[4];
};

/*
 * connect() of the protocol returned. Success is left to the states of the socket. `family` says
 * which function it was: an IPv6 socket that calls a mapped IPv4 address goes through both.
 */
static __always_inline void on_connect_returned(struct sock *sk, void *address, int result,
						u16 family)
{
	struct socket_entry entry = {}, *known;
	struct endpoint end = {};
	struct address_v6 v6 = {};
	struct address_v4 v4 = {};
	u64 key = (u64)sk;

	if (result >= 0 || result == -EINVAL || result == -EAFNOSUPPORT)
		return;
	if (family == AF_INET && BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6)
		return;
	if (!scope_has_current())
		return;
	/* Left behind by on_failed: the attempt came as far as SYN_SENT. */
	known = bpf_map_lookup_elem(&sockets, &key);
	if (known) {
		entry.began = known->began;
		bpf_map_delete_elem(&sockets, &key);
	}
	endpoint_read(&end, sk);
	if (family == AF_INET6) {
		bpf_probe_read_kernel(&v6, sizeof(v6), address);
		__builtin_memcpy(end.remote_addr, v6.address, 16);
		end.remote_port = __builtin_bswap16(v6.port);
	} else {
		bpf_probe_read_kernel(&v4, sizeof(v4), address);
		address_map_v4(end.remote_addr, v4.address);
		end.remote_port = __builtin_bswap16(v4.port);
	}
	identity_fill(&entry.who, bpf_get_current_task_btf());
	emit_failed(&entry, &end, -result);
}

SEC("fexit/tcp_v4_connect")
int BPF_PROG(connect_v4_fexit, struct sock *sk, void *address, int length, int result)
{
	on_connect_returned(sk, address, result, AF_INET);
	return 0;
}

SEC("fexit/tcp_v6_connect")
int BPF_PROG(connect_v6_fexit, struct sock *sk, void *address, int length, int result)
{
	on_connect_returned(sk, address, result, AF_INET6);
	return 0;
}

static __always_inline void connecting_begin(struct sock *sk, void *address, u64 family)
{
	struct connecting_key key = { .pid_tgid = bpf_get_current_pid_tgid(), .family = family };
	struct connecting_call call = { .sk = (u64)sk, .address = (u64)address };

	if (!scope_has_current())
		return;
	if (bpf_map_update_elem(&connecting, &key, &call, BPF_ANY) != 0)
		fault_count(FAULT_CONNECTING_FULL);
}

static __always_inline void connecting_end(int result, u64 family)
{
	struct connecting_key key = { .pid_tgid = bpf_get_current_pid_tgid(), .family = family };
	struct connecting_call *found = bpf_map_lookup_elem(&connecting, &key);
	struct connecting_call call;

	if (!found)
		return;
	call = *found;
	bpf_map_delete_elem(&connecting, &key);
	on_connect_returned((struct sock *)call.sk, (void *)call.address, result, family);
}

SEC("kprobe/tcp_v4_connect")
int BPF_KPROBE(connect_v4_kprobe, struct sock *sk, void *address)
{
	connecting_begin(sk, address, AF_INET);
	return 0;
}

SEC("kretprobe/tcp_v4_connect")
int BPF_KRETPROBE(connect_v4_kretprobe, int result)
{
	connecting_end(result, AF_INET);
	return 0;
}

SEC("kprobe/tcp_v6_connect")
int BPF_KPROBE(connect_v6_kprobe, struct sock *sk, void *address)
{
	connecting_begin(sk, address, AF_INET6);
	return 0;
}

SEC("kretprobe/tcp_v6_connect")
int BPF_KRETPROBE(connect_v6_kretprobe, int result)
{
	connecting_end(result, AF_INET6);
	return 0;
}

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
 * after the other programs are attached. Marks listeners, and remembers connections with the process
 * that holds them, so that their close names it. Emits nothing.
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
