/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What an IP packet says of itself: addresses, ports, payload. Bounded, for hostile packets. */
#ifndef VEDETTE_PACKET_BPF_H
#define VEDETTE_PACKET_BPF_H

#include "endpoint.bpf.h"
#include "events.h"

/*
 * The contexts of cgroup programs, from the kernel's user interface (linux/bpf.h): their layout
 * never changes, and the verifier rewrites each access.
 */
struct bpf_sock {
	u32 bound_dev_if;
	u32 family;
	u32 type;
	u32 protocol;
	u32 mark;
	u32 priority;
	u32 src_ip4;
	u32 src_ip6[4];
	u32 src_port;
	u16 dst_port;
	u16 : 16;
	u32 dst_ip4;
	u32 dst_ip6[4];
	u32 state;
	s32 rx_queue_mapping;
};

struct __sk_buff {
	u32 len;
	u32 pkt_type;
	u32 mark;
	u32 queue_mapping;
	u32 protocol;
	u32 vlan_present;
	u32 vlan_tci;
	u32 vlan_proto;
	u32 priority;
	u32 ingress_ifindex;
	u32 ifindex;
	u32 tc_index;
	u32 cb[5];
	u32 hash;
	u32 tc_classid;
	u32 data;
	u32 data_end;
	u32 napi_id;
	u32 family;
	u32 remote_ip4;
	u32 local_ip4;
	u32 remote_ip6[4];
	u32 local_ip6[4];
	u32 remote_port;
	u32 local_port;
	u32 data_meta;
	u64 flow_keys;
	u64 tstamp;
	u32 wire_len;
	u32 gso_segs;
	struct bpf_sock *sk;
	u32 gso_size;
};

struct bpf_sock_addr {
	u32 user_family;
	u32 user_ip4;
	u32 user_ip6[4];
	u32 user_port;
	u32 family;
	u32 type;
	u32 protocol;
	u32 msg_src_ip4;
	u32 msg_src_ip6[4];
	struct bpf_sock *sk;
};

#define SOCKET_TYPE_STREAM 1
#define SOCKET_TYPE_DATAGRAM 2
#define SOCKET_TYPE_RAW 3

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd

/* Headers between those of IPv6 and of the transport (RFC 8200). More than six are no payload. */
#define IPV6_HOP_BY_HOP 0
#define IPV6_ROUTING 43
#define IPV6_FRAGMENT 44
#define IPV6_DESTINATION 60
#define IPV6_EXTENSIONS_MAX 6

#define ICMP_ECHO_REPLY 0
#define ICMPV6_ECHO_REPLY 129

struct ipv4_header {
	u8 version_words;
	u8 service;
	u16 bytes;
	u16 id;
	u16 fragment;
	u8 ttl;
	u8 protocol;
	u16 checksum;
	u32 source;
	u32 destination;
};

#define IPV6_SOURCE_AT 8
#define IPV6_DESTINATION_AT 24
#define IPV6_HEADER_BYTES 40

/* The beginning of an IPv6 header. */
struct ipv6_words {
	u32 version_class_flow;
	u16 payload_bytes;
	u8 next_header;
	u8 hop_limit;
};

struct packet {
	/* Without the headers of IP, UDP and ICMP; of other protocols without that of IP only. */
	u32 payload_bytes;
	/* Where the payload begins. */
	u32 payload_at;
	u16 source_port;
	u16 destination_port;
	/* As it is cut into on the way out, or was put together from. */
	u32 packets;
	u8 protocol;
	u8 icmp_type;
	u8 _pad[2];
};

#define TRANSPORT_HEAD_BYTES 8

/*
 * The first bytes of an IPv4 packet mostly lie in one piece, where they are read without the helper
 * that looks for them. Without options the head of the transport is among them.
 */
static __always_inline bool ipv4_load(struct __sk_buff *skb, struct ipv4_header *ip)
{
	const struct ipv4_header *at = (void *)(long)skb->data;

	if ((void *)(at + 1) > (void *)(long)skb->data_end)
		return bpf_skb_load_bytes(skb, 0, ip, sizeof(*ip)) == 0;
	*ip = *at;
	return true;
}

static __always_inline bool transport_load(struct __sk_buff *skb, u32 at, u16 *head)
{
	const u16 *usual = (void *)(long)skb->data + sizeof(struct ipv4_header);

	if (at != sizeof(struct ipv4_header) ||
	    (void *)usual + TRANSPORT_HEAD_BYTES > (void *)(long)skb->data_end)
		return bpf_skb_load_bytes(skb, at, head, TRANSPORT_HEAD_BYTES) == 0;
	head[0] = usual[0];
	head[1] = usual[1];
	return true;
}

/* Ports and length, from the first eight bytes of the transport header, when they are there. */
static __always_inline void packet_read_transport(struct packet *packet, struct __sk_buff *skb,
						  u32 at, bool later_fragment)
{
	u16 head[TRANSPORT_HEAD_BYTES / 2] = {};

	packet->payload_at = at;
	packet->payload_bytes = skb->len > at ? skb->len - at : 0;
	if (later_fragment || !transport_load(skb, at, head))
		return;
	switch (packet->protocol) {
	case PROTOCOL_ICMP:
	case PROTOCOL_ICMPV6:
		packet->icmp_type = head[0] & 0xff;
		break;
	case PROTOCOL_TCP:
	case PROTOCOL_SCTP:
		packet->source_port = __builtin_bswap16(head[0]);
		packet->destination_port = __builtin_bswap16(head[1]);
		return;
	case PROTOCOL_UDP:
	case PROTOCOL_UDPLITE:
		packet->source_port = __builtin_bswap16(head[0]);
		packet->destination_port = __builtin_bswap16(head[1]);
		break;
	default:
		return;
	}
	packet->payload_at += sizeof(head);
	packet->payload_bytes -= sizeof(head);
}

static __always_inline bool packet_read_v4(struct packet *packet, u32 *source, u32 *destination,
					   struct __sk_buff *skb)
{
	struct ipv4_header ip;

	if (!ipv4_load(skb, &ip))
		return false;
	address_map_v4(source, ip.source);
	address_map_v4(destination, ip.destination);
	packet->protocol = ip.protocol;
	packet_read_transport(packet, skb, (ip.version_words & 0x0f) * 4,
			      __builtin_bswap16(ip.fragment) & 0x1fff);
	return true;
}

static __always_inline bool packet_read_v6(struct packet *packet, u32 *source, u32 *destination,
					   struct __sk_buff *skb)
{
	bool later_fragment = false;
	u32 at = IPV6_HEADER_BYTES;
	struct ipv6_words words;
	u8 next;

	if (bpf_skb_load_bytes(skb, 0, &words, sizeof(words)) != 0 ||
	    bpf_skb_load_bytes(skb, IPV6_SOURCE_AT, source, 16) != 0 ||
	    bpf_skb_load_bytes(skb, IPV6_DESTINATION_AT, destination, 16) != 0)
		return false;
	next = words.next_header;
#pragma unroll
	for (int i = 0; i < IPV6_EXTENSIONS_MAX; i++) {
		u8 head[4];

		if (next != IPV6_HOP_BY_HOP && next != IPV6_ROUTING && next != IPV6_FRAGMENT &&
		    next != IPV6_DESTINATION)
			break;
		if (bpf_skb_load_bytes(skb, at, head, sizeof(head)) != 0)
			break;
		if (next == IPV6_FRAGMENT) {
			later_fragment = head[2] || (head[3] & 0xf8);
			at += 8;
		} else {
			at += (head[1] + 1) * 8;
		}
		next = head[0];
	}
	packet->protocol = next;
	packet_read_transport(packet, skb, at, later_fragment);
	return true;
}

/*
 * The context of a cgroup_skb program begins at the IP header. `source` and `destination` are 16
 * bytes each. False: not IP.
 */
static __always_inline bool packet_read(struct packet *packet, u32 *source, u32 *destination,
					struct __sk_buff *skb)
{
	if (skb->protocol == __builtin_bswap16(ETHERTYPE_IPV4))
		return packet_read_v4(packet, source, destination, skb);
	if (skb->protocol == __builtin_bswap16(ETHERTYPE_IPV6))
		return packet_read_v6(packet, source, destination, skb);
	return false;
}

#endif
