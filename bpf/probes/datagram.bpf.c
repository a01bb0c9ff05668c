// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * UDP, ICMP and raw IP, IPv4 and IPv6: who exchanges datagrams with whom, and how much.
 *
 * At the packet hooks of cgroups (Linux 4.10), which see every packet that a socket sends, before
 * it is cut into segments or fragments, and every one that is put into a socket's queue: whatever
 * system call or io_uring request caused it. They are called for TCP, too, and leave at once. They
 * load where trampolines and kprobes are refused, and limit themselves to the sockets of a cgroup.
 * They let everything pass.
 *
 * A packet that is sent is sent by the current process. One that is received comes in softirq: it
 * belongs to the process that used the socket last.
 *
 * Not seen: packet sockets (AF_PACKET), which go around IP; raw_socket tells of them.
 */
#include "datagram_socket.bpf.h"
#include "flows.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define IDLE_NS (60 * 1000000000ull)

/* A bit field has no address: read by its place. */
struct sock___kernel {
	u8 sk_kern_sock : 1;
} __attribute__((preserve_access_index));

static __always_inline bool socket_is_of_kernel(struct sock *sk)
{
	struct sock___kernel *kernel = (void *)sk;

	return BPF_CORE_READ_BITFIELD_PROBED(kernel, sk_kern_sock);
}

/* Raw sockets get a copy of everything of their protocol, also of what others exchange. */
static __always_inline bool is_copy(const struct bpf_sock *socket, const struct packet *packet)
{
	return socket->type == SOCKET_TYPE_RAW &&
	       (packet->source_port || packet->destination_port);
}

/* Where the packet goes and comes from, as its socket sees it. False: not IP. */
static __always_inline bool packet_read_as(struct packet *packet, struct flow_key *key,
					   struct __sk_buff *skb, bool sent)
{
	if (sent) {
		if (!packet_read(packet, key->local_addr, key->remote_addr, skb))
			return false;
		key->local_port = packet->source_port;
		key->remote_port = packet->destination_port;
	} else {
		if (!packet_read(packet, key->remote_addr, key->local_addr, skb))
			return false;
		key->local_port = packet->destination_port;
		key->remote_port = packet->source_port;
	}
	key->protocol = packet->protocol;
	return true;
}

static __always_inline void socket_note_flow(struct datagram_socket *used,
					     const struct flow_key *key)
{
	used->flow = *key;
	__sync_fetch_and_add(&used->flows, 1);
}

/* The first packet of a flow: who is it? */
static __always_inline void who_sends(struct flow *flow, struct bpf_sock *socket, struct sock *sk,
				      const struct flow_key *key)
{
	struct datagram_socket *used;

	flow->direction = DIRECTION_OUTGOING;
	if (socket_is_of_kernel(sk)) {
		flow->who.cgroup_id = bpf_sk_cgroup_id(socket);
		return;
	}
	identity_fill(&flow->who, bpf_get_current_task_btf());
	flow->process_source = PROCESS_SOURCE_CALLER;
	used = socket_used(socket);
	if (used)
		socket_note_flow(used, key);
}

static __always_inline void who_receives(struct flow *flow, struct bpf_sock *socket,
					 const struct flow_key *key)
{
	struct datagram_socket *used = bpf_sk_storage_get(&datagram_sockets, socket, NULL, 0);

	flow->direction = DIRECTION_ACCEPTED;
	if (!used || !used->who.pid) {
		flow->who.cgroup_id = bpf_sk_cgroup_id(socket);
		return;
	}
	identity_copy(&flow->who, &used->who);
	flow->process_source = PROCESS_SOURCE_LISTENER;
	socket_note_flow(used, key);
}

/*
 * The node answered a ping by itself: what came in went out again. The question is not seen, it
 * goes to no socket; nor is what else the kernel sends, such as neighbour discovery, which carries
 * nothing.
 */
static __always_inline bool is_kernel_reply(const struct packet *packet)
{
	if (packet->protocol == PROTOCOL_ICMP)
		return packet->icmp_type == ICMP_ECHO_REPLY;
	return packet->protocol == PROTOCOL_ICMPV6 && packet->icmp_type == ICMPV6_ECHO_REPLY;
}

/*
 * The first packet of a flow. Apart from on_packet for the sake of the stack: flows are large.
 * `answered`: the kernel did.
 */
static __noinline int on_first_packet(struct bpf_sock *socket, const struct flow_key *key,
				      const struct packet *packet, bool sent, bool answered)
{
	struct sock *sk = socket_address(socket);
	struct flow fresh = {}, *flow;

	fresh.first = bpf_ktime_get_boot_ns();
	fresh.latest = fresh.first;
	fresh.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	if (sent) {
		fresh.packets_sent = packet->packets;
		fresh.bytes_sent = packet->payload_bytes;
	}
	if (!sent || answered) {
		fresh.packets_received = packet->packets;
		fresh.bytes_received = packet->payload_bytes;
	}
	if (answered)
		fresh.direction = DIRECTION_ACCEPTED;
	else if (sent)
		who_sends(&fresh, socket, sk, key);
	else
		who_receives(&fresh, socket, key);
	if (flow_begin(key, &fresh))
		return 0;
	flow = bpf_map_lookup_elem(&flows, key);
	if (flow)
		flow_add(flow, sent, packet->packets, packet->payload_bytes, fresh.latest);
	return 0;
}

static __always_inline void on_packet(struct __sk_buff *skb, bool sent)
{
	struct bpf_sock *socket = skb->sk;
	struct packet packet = {};
	struct flow_key key = {};
	bool answered = false;
	struct flow *flow;
	u64 now;

	if (!socket)
		return;
	socket = bpf_sk_fullsock(socket);
	if (!socket || socket->type == SOCKET_TYPE_STREAM)
		return;
	if (!packet_read_as(&packet, &key, skb, sent))
		return;
	packet.packets = skb->gso_segs ? skb->gso_segs : 1;
	if (sent && socket->type == SOCKET_TYPE_RAW && socket_is_of_kernel(socket_address(socket))) {
		if (!is_kernel_reply(&packet))
			return;
		answered = true;
	} else {
		key.cookie = bpf_get_socket_cookie(skb);
	}
	flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow) {
		if (sent || !is_copy(socket, &packet))
			on_first_packet(socket, &key, &packet, sent, answered);
		return;
	}
	now = bpf_ktime_get_boot_ns();
	flow_add(flow, sent, packet.packets, packet.payload_bytes, now);
	if (answered)
		flow_add(flow, false, packet.packets, packet.payload_bytes, now);
}

SEC("cgroup_skb/egress")
int flow_egress(struct __sk_buff *skb)
{
	on_packet(skb, true);
	return PASS;
}

SEC("cgroup_skb/ingress")
int flow_ingress(struct __sk_buff *skb)
{
	on_packet(skb, false);
	return PASS;
}

/* socket(), in the process that called it. Not for sockets of the kernel. */
SEC("cgroup/sock_create")
int datagram_socket_create(struct bpf_sock *socket)
{
	if (socket->type != SOCKET_TYPE_STREAM)
		socket_used(socket);
	return PASS;
}

/* close() of the last descriptor: the end of its flows. */
SEC("cgroup/sock_release")
int datagram_socket_release(struct bpf_sock *socket)
{
	struct datagram_socket *used = bpf_sk_storage_get(&datagram_sockets, socket, NULL, 0);
	struct flow_key key;
	struct flow *flow;
	u8 closed = 1;

	if (!used || used->flows == 0)
		return PASS;
	key = used->flow;
	if (used->flows > 1)
		bpf_map_update_elem(&closed_sockets, &key.cookie, &closed, BPF_ANY);
	flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow)
		return PASS;
	emit_flow(&key, flow, FLOW_REPORT_LAST, bpf_ktime_get_boot_ns());
	flow_remove(&key);
	return PASS;
}

/* The end of a walk: what is not there any more and was not removed was evicted. */
static __always_inline void on_walk_over(struct flow_account *account)
{
	u64 evicted, more, *count;
	u32 fault = FAULT_FLOWS_EVICTED;

	evicted = account->made_before - account->removed - account->seen;
	account->made_before = account->made;
	if ((s64)evicted <= (s64)account->evicted)
		return;
	more = evicted - account->evicted;
	account->evicted = evicted;
	count = bpf_map_lookup_elem(&faults, &fault);
	if (count)
		__sync_fetch_and_add(count, more);
}

/*
 * Every ten seconds: the totals of the flows that went on, and the end of those that are idle or of
 * a closed socket. The entry by its pointer and not by a look-up, which would make it the youngest.
 */
SEC("iter/bpf_map_elem")
int flows_iter(struct bpf_iter__bpf_map_elem *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct flow_account *account = flow_account();
	struct datagram_flow record = {};
	struct flow_key key, *at = ctx->key;
	struct flow *flow = ctx->value;
	bool over;
	u64 now;

	if (!account)
		return 0;
	if (account->session != ctx->meta->session_id) {
		account->session = ctx->meta->session_id;
		account->seen = 0;
	}
	if (!at || !flow) {
		on_walk_over(account);
		return 0;
	}
	key = *at;
	now = bpf_ktime_get_boot_ns();
	over = now - flow->latest > IDLE_NS || bpf_map_lookup_elem(&closed_sockets, &key.cookie);
	if (over || flow->packets_sent + flow->packets_received != flow->packets_reported) {
		record_stamp(&record.header, KIND_DATAGRAM_FLOW, sizeof(record), now);
		flow_fill(&record, &key, flow, over ? FLOW_REPORT_LAST : FLOW_REPORT_PERIODIC);
		/* When the page is full the kernel calls again with the same entry. */
		if (bpf_seq_write(seq, &record, sizeof(record)) != 0)
			return 0;
		record_count(KIND_DATAGRAM_FLOW, false);
		flow->packets_reported = record.packets_sent + record.packets_received;
	}
	if (flow->number < account->made_before)
		account->seen++;
	if (over)
		flow_remove(&key);
	return 0;
}
