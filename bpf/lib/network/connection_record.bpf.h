/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Fills and sends the records of connections, or counts them among their like. `now` is the time of
 * the record.
 */
#ifndef VEDETTE_CONNECTION_RECORD_BPF_H
#define VEDETTE_CONNECTION_RECORD_BPF_H

#include "repeats.bpf.h"

/* Everything but the header. */
static __always_inline void listen_fill(struct listen *record, struct sock *sk, u64 cookie)
{
	struct sock_common *common = &sk->__sk_common;

	endpoint_local(record->local_addr, sk);
	record->connection_id = cookie;
	record->netns = common->skc_net.net->ns.inum;
	record->local_port = common->skc_num;
	record->protocol = PROTOCOL_TCP;
}

/* Everything but the header. */
static __always_inline void open_fill(struct connection_open *record,
				      const struct socket_entry *entry, const struct endpoint *end)
{
	__builtin_memcpy(record->local_addr, end->local_addr, 16);
	__builtin_memcpy(record->remote_addr, end->remote_addr, 16);
	record->connection_id = entry->cookie;
	record->netns = end->netns;
	record->local_port = end->local_port;
	record->remote_port = end->remote_port;
	record->protocol = PROTOCOL_TCP;
	record->direction = entry->direction;
	record->process_source = entry->process_source;
}

static __always_inline void emit_open(const struct socket_entry *entry, const struct endpoint *end,
				      u64 now)
{
	struct connection_open *record;

	record = record_reserve(KIND_CONNECTION_OPEN, sizeof(*record), now, entry->who.cgroup_id);
	if (!record)
		return;
	identity_copy(&record->header, &entry->who);
	open_fill(record, entry, end);
	record_submit(record);
}

/* A connection stands: tells it, or counts it among its like and says so in the entry. */
static __always_inline void on_open(struct socket_entry *entry, const struct endpoint *end,
				    u64 now)
{
	struct repeat *repeat = repeat_find(entry, end, now);

	if (!repeat) {
		emit_open(entry, end, now);
		return;
	}
	entry->counted = 1;
	__sync_fetch_and_add(&repeat->opened, 1);
}

static __always_inline void emit_close(struct sock *sk, struct tcp_sock *tcp,
				       const struct socket_entry *entry, const struct endpoint *end,
				       u64 now)
{
	struct connection_close *record;
	u64 received = tcp->bytes_received, sent = tcp->bytes_sent, again = tcp->bytes_retrans;

	/* The kernel counts a retransmission before it tries, and the try may find no memory. */
	sent = sent > again ? sent - again : 0;
	/* The peer's FIN takes one sequence number and is counted as a byte. */
	if (received > 0 && (sk->__sk_common.skc_flags & (1UL << SOCKET_FLAG_DONE)))
		received--;
	/* Of one whose bytes were told on the way, the rest is told, too. */
	if (entry->counted && !entry->totals_told &&
	    repeat_count_close(entry, end, sent, received))
		return;
	record = record_reserve(KIND_CONNECTION_CLOSE, sizeof(*record), now,
				entry->who.cgroup_id);
	if (!record)
		return;
	identity_copy(&record->header, &entry->who);
	__builtin_memcpy(record->local_addr, end->local_addr, 16);
	__builtin_memcpy(record->remote_addr, end->remote_addr, 16);
	record->connection_id = entry->cookie;
	record->bytes_sent = sent;
	record->bytes_received = received;
	if (entry->established)
		record->duration_ns = now - entry->established;
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

/*
 * Of a listening socket. When it was not bound, the kernel chooses a port after this: it is 0.
 */
static __always_inline void emit_listen(struct sock *sk, const struct record_header *who,
					u64 cookie, u64 now)
{
	struct listen *record;

	record = record_reserve(KIND_LISTEN, sizeof(*record), now, who->cgroup_id);
	if (!record)
		return;
	identity_copy(&record->header, who);
	listen_fill(record, sk, cookie);
	record_submit(record);
}

static __always_inline void emit_failed(const struct socket_entry *entry,
					const struct endpoint *end, u16 error, u64 now)
{
	struct repeat *repeat = repeat_find(entry, end, now);
	struct connection_failed *record;

	if (repeat) {
		__sync_fetch_and_add(&repeat->failed, 1);
		return;
	}
	record = record_reserve(KIND_CONNECTION_FAILED, sizeof(*record), now,
				entry->who.cgroup_id);
	if (!record)
		return;
	identity_copy(&record->header, &entry->who);
	__builtin_memcpy(record->local_addr, end->local_addr, 16);
	__builtin_memcpy(record->remote_addr, end->remote_addr, 16);
	if (entry->began)
		record->duration_ns = now - entry->began;
	record->netns = end->netns;
	record->local_port = end->local_port;
	record->remote_port = end->remote_port;
	record->error = error;
	record->protocol = PROTOCOL_TCP;
	record_submit(record);
}

#endif
