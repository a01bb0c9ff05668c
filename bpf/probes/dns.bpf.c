// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * What name servers answer to the processes of the node: UDP datagrams from port 53. The message
 * goes to the agent as it came, which reads it: it is hostile, and reading it takes loops.
 *
 * At the packet hook of cgroups, since only there a program may read the whole of a packet, however
 * the network card laid it out in memory.
 */
#include "datagram_socket.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define DNS_PORT 53
#define DNS_HEADER_BYTES 12
#define DNS_BYTES 768
/* The identification, different in every message, comes first. */
#define DNS_ID_MASK 0xffffull
/* The highest bit of the third byte: this is an answer. */
#define DNS_IS_ANSWER 0x800000ull
#define TOLD_AGAIN_NS (10 * 1000000000ull)

struct dns_message {
	u64 words[DNS_BYTES / 8];
};

_Static_assert(sizeof(((struct dns_answer *)0)->name) +
	       sizeof(((struct dns_answer *)0)->addresses) == DNS_BYTES, "the message fits");

/* Larger than the stack. In softirq, one at a time on a CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct dns_message);
} dns_messages SEC(".maps");

/*
 * Answers that were told, and when. The very same answer to the same process says nothing new for a
 * while. More of them at once than entries: some are told again.
 */
struct dns_told_key {
	u64 start_time;
	u64 hash;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct dns_told_key);
	__type(value, u64);
} dns_told SEC(".maps");

/* Everything but the identification. */
static __always_inline u64 hash_of(const struct dns_message *message)
{
	u64 hash = repeats_seed;

#pragma unroll
	for (u32 i = 0; i < DNS_BYTES / 8; i++) {
		u64 word = message->words[i];

		hash ^= i == 0 ? word & ~DNS_ID_MASK : word;
		hash *= 0x9e3779b97f4a7c15ull;
		hash ^= hash >> 29;
	}
	return hash;
}

static __always_inline bool was_told(const struct dns_told_key *key, u64 now)
{
	u64 *at = bpf_map_lookup_elem(&dns_told, key);

	if (at && now - *at < TOLD_AGAIN_NS)
		return true;
	bpf_map_update_elem(&dns_told, key, &now, BPF_ANY);
	return false;
}

static __always_inline void on_answer(struct __sk_buff *skb, struct bpf_sock *socket,
				      const struct packet *packet, const u32 *server)
{
	struct dns_told_key key = {};
	struct datagram_socket *used;
	struct dns_message *message;
	struct dns_answer *record;
	u64 bytes = packet->payload_bytes, now = bpf_ktime_get_boot_ns();
	u32 zero = 0;
	struct sock *sk;

	message = bpf_map_lookup_elem(&dns_messages, &zero);
	if (!message)
		return;
	record_zero(message, sizeof(*message));
	/* Otherwise the compiler moves the comparisons to where the verifier has no use for them. */
	barrier_var(bytes);
	if (bytes < DNS_HEADER_BYTES)
		return;
	if (bytes > DNS_BYTES)
		bytes = DNS_BYTES;
	if (bpf_skb_load_bytes(skb, packet->payload_at, message, bytes) != 0)
		return;
	if (!(message->words[0] & DNS_IS_ANSWER))
		return;
	used = bpf_sk_storage_get(&datagram_sockets, socket, NULL, 0);
	if (used)
		key.start_time = used->who.start_time;
	key.hash = hash_of(message);
	if (was_told(&key, now))
		return;
	record = record_reserve(KIND_DNS_ANSWER, sizeof(*record), now,
				used ? used->who.cgroup_id : bpf_sk_cgroup_id(socket));
	if (!record)
		return;
	if (used)
		identity_copy(&record->header, &used->who);
	else
		record->header.cgroup_id = bpf_sk_cgroup_id(socket);
	__builtin_memcpy(record->name, message, sizeof(record->name));
	__builtin_memcpy(record->addresses, (char *)message + sizeof(record->name),
			 sizeof(record->addresses));
	__builtin_memcpy(record->server_addr, server, 16);
	sk = socket_address(socket);
	record->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	record->message_bytes = packet->payload_bytes;
	record->addresses_cut = packet->payload_bytes > DNS_BYTES;
	record_submit(record);
}

SEC("cgroup_skb/ingress")
int dns_answer_ingress(struct __sk_buff *skb)
{
	struct bpf_sock *socket = skb->sk;
	u32 source[4], destination[4];
	struct packet packet = {};

	if (!socket)
		return PASS;
	socket = bpf_sk_fullsock(socket);
	if (!socket || socket->type != SOCKET_TYPE_DATAGRAM)
		return PASS;
	if (!packet_read(&packet, source, destination, skb))
		return PASS;
	if (packet.protocol == PROTOCOL_UDP && packet.source_port == DNS_PORT)
		on_answer(skb, socket, &packet, source);
	return PASS;
}
