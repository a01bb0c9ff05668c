/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * How many records a cgroup may make: who floods loses its own records, and nobody else's.
 *
 * A bucket of one second per cgroup and class of records, kept as one number: the moment up to
 * which its records are paid for, each at `quota_cost_ns`. Classes, so that a flood of connections
 * hides neither the programs that the same cgroup runs nor the sockets it passes on.
 */
#ifndef VEDETTE_QUOTA_BPF_H
#define VEDETTE_QUOTA_BPF_H

#include "maps.bpf.h"

#define QUOTA_BURST_NS 1000000000ull

enum quota_class {
	QUOTA_CONNECTIONS,
	QUOTA_PROCESSES,
	QUOTA_OTHER,
	QUOTA_CLASSES,
};

/* The amounts of a cgroup_flood, in its order. */
enum quota_lost {
	QUOTA_LOST_CONNECTION_OPEN,
	QUOTA_LOST_CONNECTION_CLOSE,
	QUOTA_LOST_CONNECTION_FAILED,
	QUOTA_LOST_DATAGRAM_FLOW,
	QUOTA_LOST_PROCESS_EXEC,
	QUOTA_LOST_PROCESS_EXIT,
	QUOTA_LOST_OTHER,
	QUOTA_LOST_KINDS,
};

struct quota {
	u64 paid_until[QUOTA_CLASSES];
	/* Over the quota since the last report. */
	u64 lost[QUOTA_LOST_KINDS];
	u64 reported;
};

/*
 * By cgroup id. With more cgroups than entries the one that was quiet for longest is forgotten; if
 * it had losses to report, the agent finds them missing and reports them without their cgroup.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, struct quota);
} quotas __weak SEC(".maps");

/* `kind` is a constant: both of these cost nothing. */
static __always_inline enum quota_class quota_class_of(u32 kind)
{
	switch (kind) {
	case KIND_CONNECTION_OPEN:
	case KIND_CONNECTION_CLOSE:
	case KIND_CONNECTION_FAILED:
	case KIND_DATAGRAM_FLOW:
	case KIND_DNS_ANSWER:
		return QUOTA_CONNECTIONS;
	case KIND_PROCESS_EXEC:
	case KIND_PROCESS_EXIT:
	case KIND_PROCESS_ORPHAN:
		return QUOTA_PROCESSES;
	}
	return QUOTA_OTHER;
}

static __always_inline enum quota_lost quota_lost_of(u32 kind)
{
	switch (kind) {
	case KIND_CONNECTION_OPEN: return QUOTA_LOST_CONNECTION_OPEN;
	case KIND_CONNECTION_CLOSE: return QUOTA_LOST_CONNECTION_CLOSE;
	case KIND_CONNECTION_FAILED: return QUOTA_LOST_CONNECTION_FAILED;
	case KIND_DATAGRAM_FLOW: return QUOTA_LOST_DATAGRAM_FLOW;
	case KIND_PROCESS_EXEC: return QUOTA_LOST_PROCESS_EXEC;
	case KIND_PROCESS_EXIT: return QUOTA_LOST_PROCESS_EXIT;
	}
	return QUOTA_LOST_OTHER;
}

/*
 * Pays for a record, or counts it as over the quota. Two CPUs may both find the bucket untouched
 * for long and set it: a few records too many, no more.
 */
static __always_inline bool quota_exceeded(u32 kind, u64 cgroup_id, u64 now)
{
	struct quota *quota;
	u64 *paid_until;

	if (!quota_per_s)
		return false;
	quota = bpf_map_lookup_elem(&quotas, &cgroup_id);
	if (!quota) {
		struct quota fresh = { .reported = now };

		bpf_map_update_elem(&quotas, &cgroup_id, &fresh, BPF_NOEXIST);
		quota = bpf_map_lookup_elem(&quotas, &cgroup_id);
		if (!quota)
			return false;
	}
	paid_until = &quota->paid_until[quota_class_of(kind)];
	if (*paid_until + QUOTA_BURST_NS < now)
		*paid_until = now - QUOTA_BURST_NS;
	if (*paid_until < now) {
		__sync_fetch_and_add(paid_until, quota_cost_ns);
		return false;
	}
	__sync_fetch_and_add(&quota->lost[quota_lost_of(kind)], 1);
	return true;
}

#endif
