/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Datagrams, counted per socket and peer. */
#ifndef VEDETTE_FLOWS_BPF_H
#define VEDETTE_FLOWS_BPF_H

#include "datagram_socket.bpf.h"

struct flow {
	/* Flows that were made before it. */
	u64 number;
	/* The first packet and the latest one, nanoseconds since boot. */
	u64 first;
	u64 latest;
	u64 bytes_sent;
	u64 bytes_received;
	u32 packets_sent;
	u32 packets_received;
	/* Packets both ways at the last report. */
	u32 packets_reported;
	u32 netns;
	/* Only the process part is in use. */
	struct record_header who;
	u8 direction;
	u8 process_source;
	u8 _pad[6];
};

/*
 * The size is set by the loader, allocated at once. When it is full, the flow that was quiet for
 * longest is forgotten: its totals since its last report are lost, and counted (flow_account). Its
 * next packet is reported as a first one again.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct flow_key);
	__type(value, struct flow);
} flows __weak SEC(".maps");

/*
 * The kernel does not tell what an LRU map evicts. So: made - removed - still there, of the flows
 * that were made before the last walk ended: a walk cannot miss those. What was made and removed
 * since makes this too little, never too much. `session` and `seen` are of the walk in progress;
 * walks are never at the same time.
 */
struct flow_account {
	u64 made;
	u64 removed;
	u64 evicted;
	u64 session;
	u64 made_before;
	u64 seen;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct flow_account);
} flow_accounts __weak SEC(".maps");

/* Sockets that were closed with more than one flow: the next walk ends those flows. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, u8);
} closed_sockets __weak SEC(".maps");

static __always_inline struct flow_account *flow_account(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&flow_accounts, &zero);
}

/* `record` is zeroed. */
static __always_inline void flow_fill(struct datagram_flow *record, const struct flow_key *key,
				      const struct flow *flow, u8 report)
{
	identity_copy(&record->header, &flow->who);
	__builtin_memcpy(record->local_addr, key->local_addr, 16);
	__builtin_memcpy(record->remote_addr, key->remote_addr, 16);
	record->connection_id = key->cookie;
	record->bytes_sent = flow->bytes_sent;
	record->bytes_received = flow->bytes_received;
	record->duration_ns = flow->latest - flow->first;
	record->netns = flow->netns;
	record->packets_sent = flow->packets_sent;
	record->packets_received = flow->packets_received;
	record->local_port = key->local_port;
	record->remote_port = key->remote_port;
	record->protocol = key->protocol;
	record->direction = flow->direction;
	record->process_source = flow->process_source;
	record->report = report;
}

static __always_inline void emit_flow(const struct flow_key *key, const struct flow *flow,
				      u8 report, u64 now)
{
	struct datagram_flow *record;

	record = record_reserve(KIND_DATAGRAM_FLOW, sizeof(*record), now, flow->who.cgroup_id);
	if (!record)
		return;
	flow_fill(record, key, flow, report);
	record_submit(record);
}

static __always_inline void flow_remove(const struct flow_key *key)
{
	struct flow_account *account = flow_account();

	/* Only what was there: it may have been evicted meanwhile. */
	if (bpf_map_delete_elem(&flows, key) == 0 && account)
		__sync_fetch_and_add(&account->removed, 1);
}

/* One packet more. Several CPUs do this at once. */
static __always_inline void flow_add(struct flow *flow, bool sent, u32 packets, u64 bytes, u64 now)
{
	flow->latest = now;
	if (sent) {
		__sync_fetch_and_add(&flow->packets_sent, packets);
		__sync_fetch_and_add(&flow->bytes_sent, bytes);
	} else {
		__sync_fetch_and_add(&flow->packets_received, packets);
		__sync_fetch_and_add(&flow->bytes_received, bytes);
	}
}

/* Remembers a new flow and reports it. False: another CPU was first. */
static __always_inline bool flow_begin(const struct flow_key *key, struct flow *flow)
{
	struct flow_account *account = flow_account();
	map_status status;

	flow->packets_reported = flow->packets_sent + flow->packets_received;
	if (account)
		flow->number = __sync_fetch_and_add(&account->made, 1);
	status = bpf_map_update_elem(&flows, key, flow, BPF_NOEXIST);
	if (status != 0 && account)
		__sync_fetch_and_add(&account->removed, 1);
	if (status == -EEXIST)
		return false;
	if (status != 0)
		fault_count(FAULT_FLOWS_FULL);
	emit_flow(key, flow, FLOW_REPORT_FIRST, flow->first);
	return true;
}

#endif
