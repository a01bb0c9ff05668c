/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Records: reserve, zero, count, submit. Every probe sends through here. */
#ifndef VEDETTE_RECORD_BPF_H
#define VEDETTE_RECORD_BPF_H

#include "maps.bpf.h"
#include "quota.bpf.h"

static __always_inline void fault_count(enum fault fault)
{
	u32 key = fault;
	u64 *count = bpf_map_lookup_elem(&faults, &key);

	if (count)
		__sync_fetch_and_add(count, 1);
}

/*
 * Counts a record of this kind; `lost` when it does not reach the ring. Atomic although per CPU:
 * the program of a softirq can interrupt one of a process in the middle of an addition.
 */
static __always_inline void record_count(u32 kind, bool lost)
{
	struct counter *counter = bpf_map_lookup_elem(&counters, &kind);

	if (!counter)
		return;
	__sync_fetch_and_add(&counter->produced, 1);
	if (lost)
		__sync_fetch_and_add(&counter->lost, 1);
}

/* Counts a record that its cgroup has no quota for: lost. */
static __always_inline void record_count_over_quota(u32 kind)
{
	struct counter *counter = bpf_map_lookup_elem(&counters, &kind);

	if (!counter)
		return;
	__sync_fetch_and_add(&counter->produced, 1);
	__sync_fetch_and_add(&counter->lost, 1);
	__sync_fetch_and_add(&counter->over_quota, 1);
}

/* `bytes` is a constant multiple of 8. Unrolled: no kernel memory may leave unzeroed. */
static __always_inline void record_zero(void *record, u32 bytes)
{
	u64 *words = record;

#pragma unroll
	for (u32 i = 0; i < bytes / 8; i++)
		((volatile u64 *)words)[i] = 0;
}

/* What every record carries beside the identity of its process. */
static __always_inline void record_stamp(struct record_header *header, u32 kind, u32 bytes,
					 u64 now)
{
	header->time = now;
	header->kind = kind;
	header->size = bytes;
}

/*
 * Room for a record in the ring, zeroed and stamped; NULL, and counted as lost, when it is full or
 * the cgroup over its quota. `now` is bpf_ktime_get_boot_ns(), asked once per program: it costs as
 * much as the record. `cgroup_id` is that of the process that the record names, which in softirq is
 * not the current one; 0 when no process is known.
 */
static __always_inline void *record_reserve(u32 kind, u32 bytes, u64 now, u64 cgroup_id)
{
	void *record;

	if (quota_exceeded(kind, cgroup_id, now)) {
		record_count_over_quota(kind);
		return NULL;
	}
	record = bpf_ringbuf_reserve(&ring, bytes, 0);
	record_count(kind, !record);
	if (!record)
		return NULL;
	record_zero(record, bytes);
	record_stamp(record, kind, bytes, now);
	return record;
}

/* The agent pulls on a timer: waking it would cost five times more than the record. */
static __always_inline void record_submit(void *record)
{
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

#endif
