// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The bytes so far of connections that stand for long: who copies a store away over one connection
 * is told while it goes on, not when it is over.
 *
 * A walk of our own table and not of the kernel's sockets (iter/tcp): that one shows a single
 * network namespace, and no process. A socket can end meanwhile; what was read of it counts only
 * when its cookie is there before and after.
 */
#include "connection_record.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Told again after so many bytes, both ways together. */
#define TOTALS_BYTES (1 << 20)
#define TOTALS_UNITS (TOTALS_BYTES >> TOTALS_UNIT_SHIFT)

static __always_inline u64 cookie_of(struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
}

/* Of a socket that may be gone. */
static __always_inline void bytes_read(struct connection_totals *record, struct sock *sk)
{
	struct tcp_sock *tcp = (void *)sk;
	u64 sent = BPF_CORE_READ(tcp, bytes_sent), again = BPF_CORE_READ(tcp, bytes_retrans);
	u64 received = BPF_CORE_READ(tcp, bytes_received);

	/* As at the close. */
	if (received > 0 && (BPF_CORE_READ(sk, __sk_common.skc_flags) & (1UL << SOCKET_FLAG_DONE)))
		received--;
	record->bytes_sent = sent > again ? sent - again : 0;
	record->bytes_received = received;
}

/* Made of this entry; what is then told in it, 0: nothing is to be told. */
static __always_inline u32 totals_fill(struct connection_totals *record, u64 owner,
				       const struct socket_entry *entry, u64 now)
{
	struct sock *sk = (void *)owner;
	u64 cookie = entry->cookie, bytes;
	struct endpoint end = {};
	u32 told;

	/* 1: found at start, and who called whom is not known yet. */
	if (!cookie || !entry->opened || entry->at_start == 1 || cookie_of(sk) != cookie)
		return 0;
	bytes_read(record, sk);
	bytes = record->bytes_sent + record->bytes_received;
	if ((s32)((u32)(bytes >> TOTALS_UNIT_SHIFT) - entry->totals_told) < TOTALS_UNITS)
		return 0;
	endpoint_read(&end, sk);
	if (cookie_of(sk) != cookie)
		return 0;
	record_stamp(&record->header, KIND_CONNECTION_TOTALS, sizeof(*record), now);
	identity_copy(&record->header, &entry->who);
	__builtin_memcpy(record->local_addr, end.local_addr, 16);
	__builtin_memcpy(record->remote_addr, end.remote_addr, 16);
	record->connection_id = cookie;
	record->duration_ns = entry->established ? now - entry->established : 0;
	record->netns = end.netns;
	record->local_port = end.local_port;
	record->remote_port = end.remote_port;
	record->protocol = PROTOCOL_TCP;
	record->direction = entry->direction;
	record->process_source = entry->process_source;
	told = (bytes + (1 << TOTALS_UNIT_SHIFT) - 1) >> TOTALS_UNIT_SHIFT;
	/* 0 stands for nothing. */
	return told ? told : 1;
}

SEC("iter/bpf_map_elem")
int sockets_iter(struct bpf_iter__bpf_map_elem *ctx)
{
	u64 now = bpf_ktime_get_boot_ns();
	u32 told[SOCKET_WAYS] = {}, at, *key = ctx->key;
	struct socket_set *set;

	if (!key)
		return 0;
	at = *key;
	set = bpf_map_lookup_elem(&sockets, &at);
	if (!set)
		return 0;
#pragma unroll
	for (int i = 0; i < SOCKET_WAYS; i++) {
		u64 owner = set->owners[i];
		struct connection_totals record = {};

		if (owner == OWNER_NONE || owner == OWNER_CLAIMED || owner == OWNER_NOBODY)
			continue;
		told[i] = totals_fill(&record, owner, &set->entries[i], now);
		/* It may be the entry of another socket by now. */
		if (set->owners[i] != owner)
			told[i] = 0;
		if (!told[i])
			continue;
		/* When the page is full, nothing of this set counts, and the kernel calls again. */
		if (bpf_seq_write(ctx->meta->seq, &record, sizeof(record)) != 0)
			return 0;
	}
#pragma unroll
	for (int i = 0; i < SOCKET_WAYS; i++) {
		if (!told[i])
			continue;
		set->entries[i].totals_told = told[i];
		record_count(KIND_CONNECTION_TOTALS, false);
	}
	return 0;
}
