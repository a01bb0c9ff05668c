/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The two ends of a TCP socket, IPv4 mapped into IPv6.
 *
 * Twice the same, since the verifier knows two kinds of pointers: trusted ones, read by a plain
 * load (a nanosecond), and addresses from a kprobe or a return value, read by a helper call.
 */
#ifndef VEDETTE_ENDPOINT_BPF_H
#define VEDETTE_ENDPOINT_BPF_H

#include "kernel.bpf.h"

struct endpoint {
	u32 local_addr[4];
	u32 remote_addr[4];
	u32 netns;
	u16 local_port;
	u16 remote_port;
};

/* ::ffff:a.b.c.d, in network order. */
static __always_inline void address_map_v4(u32 *mapped, u32 address)
{
	mapped[0] = 0;
	mapped[1] = 0;
	mapped[2] = __builtin_bswap32(0xffff);
	mapped[3] = address;
}

/* The local address of a socket that the verifier trusts. */
static __always_inline void endpoint_local(void *address, struct sock *sk)
{
	struct sock_common *common = &sk->__sk_common;
	u32 *local = address;

	if (common->skc_family == AF_INET6) {
		local[0] = common->skc_v6_rcv_saddr.in6_u.u6_addr32[0];
		local[1] = common->skc_v6_rcv_saddr.in6_u.u6_addr32[1];
		local[2] = common->skc_v6_rcv_saddr.in6_u.u6_addr32[2];
		local[3] = common->skc_v6_rcv_saddr.in6_u.u6_addr32[3];
	} else if (common->skc_rcv_saddr) {
		address_map_v4(local, common->skc_rcv_saddr);
	}
}

/*
 * `tcp` is the same socket. The local port comes from there: when a socket closes, the kernel gives
 * skc_num back before it tells anyone, and keeps inet_sport.
 */
static __always_inline void endpoint_fill(struct endpoint *end, struct sock *sk,
					  struct tcp_sock *tcp)
{
	struct sock_common *common = &sk->__sk_common;

	if (common->skc_family == AF_INET6) {
		end->local_addr[0] = common->skc_v6_rcv_saddr.in6_u.u6_addr32[0];
		end->local_addr[1] = common->skc_v6_rcv_saddr.in6_u.u6_addr32[1];
		end->local_addr[2] = common->skc_v6_rcv_saddr.in6_u.u6_addr32[2];
		end->local_addr[3] = common->skc_v6_rcv_saddr.in6_u.u6_addr32[3];
		end->remote_addr[0] = common->skc_v6_daddr.in6_u.u6_addr32[0];
		end->remote_addr[1] = common->skc_v6_daddr.in6_u.u6_addr32[1];
		end->remote_addr[2] = common->skc_v6_daddr.in6_u.u6_addr32[2];
		end->remote_addr[3] = common->skc_v6_daddr.in6_u.u6_addr32[3];
	} else {
		address_map_v4(end->local_addr, common->skc_rcv_saddr);
		address_map_v4(end->remote_addr, common->skc_daddr);
	}
	end->netns = common->skc_net.net->ns.inum;
	end->local_port = __builtin_bswap16(tcp->inet_conn.icsk_inet.inet_sport);
	end->remote_port = __builtin_bswap16(common->skc_dport);
}

/* As endpoint_fill, of a socket that the verifier does not trust. */
static __always_inline void endpoint_read(struct endpoint *end, struct sock *sk)
{
	struct inet_sock *inet = (void *)sk;

	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6) {
		BPF_CORE_READ_INTO(&end->local_addr, sk, __sk_common.skc_v6_rcv_saddr.in6_u);
		BPF_CORE_READ_INTO(&end->remote_addr, sk, __sk_common.skc_v6_daddr.in6_u);
	} else {
		address_map_v4(end->local_addr, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
		address_map_v4(end->remote_addr, BPF_CORE_READ(sk, __sk_common.skc_daddr));
	}
	end->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	end->local_port = __builtin_bswap16(BPF_CORE_READ(inet, inet_sport));
	end->remote_port = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
}

#endif
