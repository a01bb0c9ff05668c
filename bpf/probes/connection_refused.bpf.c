// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * connect() calls that the node itself refuses, such as those without a route: they fail before the
 * socket changes its state, so the tracepoint of connection.bpf.c never hears of them.
 *
 * The return of the protocol's connect, by fexit; by a pair of kprobes where trampolines are
 * refused.
 */
#include "calls.bpf.h"
#include "connection_record.bpf.h"
#include "scope.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

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
	struct socket_entry entry = {};
	struct socket_place known;
	struct endpoint end = {};
	struct address_v6 v6 = {};
	struct address_v4 v4 = {};
	u64 key;

	if (result >= 0 || result == -EINVAL || result == -EAFNOSUPPORT)
		return;
	if (family == AF_INET && BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6)
		return;
	if (!scope_has_current())
		return;
	/* Left behind by on_failed: the attempt came as far as SYN_SENT. */
	key = address_of(sk);
	known = place_find(key);
	if (known.entry) {
		entry.began = known.entry->began;
		entry_remove(key, known.owner);
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
	emit_failed(&entry, &end, -result, bpf_ktime_get_boot_ns());
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

static __always_inline void connecting_begin(struct sock *sk, void *address,
					     enum call_function function)
{
	struct call call = { .arguments = { (u64)sk, (u64)address } };

	if (scope_has_current())
		call_begin(function, &call);
}

static __always_inline void connecting_end(int result, enum call_function function, u16 family)
{
	struct call call;

	if (scope_has_current() && call_end(function, &call))
		on_connect_returned((void *)call.arguments[0], (void *)call.arguments[1], result,
				    family);
}

SEC("kprobe/tcp_v4_connect")
int BPF_KPROBE(connect_v4_kprobe, struct sock *sk, void *address)
{
	connecting_begin(sk, address, CALL_CONNECT_V4);
	return 0;
}

SEC("kretprobe/tcp_v4_connect")
int BPF_KRETPROBE(connect_v4_kretprobe, int result)
{
	connecting_end(result, CALL_CONNECT_V4, AF_INET);
	return 0;
}

SEC("kprobe/tcp_v6_connect")
int BPF_KPROBE(connect_v6_kprobe, struct sock *sk, void *address)
{
	connecting_begin(sk, address, CALL_CONNECT_V6);
	return 0;
}

SEC("kretprobe/tcp_v6_connect")
int BPF_KRETPROBE(connect_v6_kretprobe, int result)
{
	connecting_end(result, CALL_CONNECT_V6, AF_INET6);
	return 0;
}
