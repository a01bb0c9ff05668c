// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Which process accepts a connection: the worker of a pre-forking server, not its listener.
 *
 * The return of inet_csk_accept: the one function behind accept(), accept4() and io_uring, for IPv4
 * and IPv6. By fexit, or by kretprobe where trampolines are refused; where both are, the handshake
 * names the listener.
 */
#include "connection_record.bpf.h"
#include "scope.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/*
 * accept() returned `sk`, in the process that called it. The socket is not locked: it may close on
 * another CPU at the same time. So the entry is copied and replaced as a whole, never written in
 * place, and the copy counts only when its cookie was still that of the socket.
 */
static __always_inline void on_accepted(struct sock *sk)
{
	struct socket_entry entry = {};
	struct socket_place known;
	struct endpoint end = {};
	u64 key, cookie, now = 0;
	struct repeat *repeat = NULL;
	u8 opened;

	if (!sk || BPF_CORE_READ(sk, sk_protocol) != PROTOCOL_TCP)
		return;
	key = address_of(sk);
	known = place_find(key);
	if (!known.entry && !scope_has_current())
		return;
	cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	if (known.entry)
		entry = *known.entry;
	if (entry.cookie != cookie) {
		if (!scope_has_current())
			return;
		known.entry = NULL;
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
	if (!opened && cookie) {
		endpoint_read(&end, sk);
		now = bpf_ktime_get_boot_ns();
		repeat = repeat_find(&entry, &end, now);
		entry.counted = repeat != NULL;
	}
	if (!known.entry)
		entry_store(key, &entry);
	else if (!entry_replace(key, known.owner, &entry))
		return;
	if (opened || !cookie)
		return;
	if (repeat)
		__sync_fetch_and_add(&repeat->opened, 1);
	else
		emit_open(&entry, &end, now);
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
