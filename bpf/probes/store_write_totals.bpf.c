// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Changes of stores that were counted and not told: every few seconds, and when a process ended. */
#include "store/change.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The end of a process that changed or listed a store: the next walk reports the rest, removes. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(store_actor_exit, struct task_struct *task)
{
	struct store_actor actor;
	u8 *ended;

	if (task->signal->live.counter != 0)
		return 0;
	store_actor_of(&actor, task);
	ended = bpf_map_lookup_elem(&store_actors, &actor);
	if (ended)
		*ended = 1;
	return 0;
}

/* A copy of what is counted, which others go on with. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct store_write);
} store_write_copies SEC(".maps");

/* When the page is full the kernel calls again with the same entry: false. */
static __always_inline bool report(struct seq_file *seq, struct store_write_entry *entry,
				   u8 report)
{
	u64 latest = entry->latest, first = entry->first;
	struct store_write *copy;
	u32 zero = 0;

	copy = bpf_map_lookup_elem(&store_write_copies, &zero);
	if (!copy)
		return false;
	bpf_probe_read_kernel(copy, sizeof(*copy), &entry->record);
	record_stamp(&copy->header, KIND_STORE_WRITE, sizeof(*copy), latest);
	copy->duration_ns = latest > first ? latest - first : 0;
	copy->report = report;
	if (bpf_seq_write(seq, copy, sizeof(*copy)) != 0)
		return false;
	record_count(KIND_STORE_WRITE, false);
	/* Subtracted and not set to 0: more was counted meanwhile. */
	__sync_fetch_and_add(&entry->record.bytes, -copy->bytes);
	__sync_fetch_and_add(&entry->record.count, -copy->count);
	entry->first = 0;
	return true;
}

/*
 * An entry in which nothing happened for long leaves in two steps, as in repeats.bpf.c. One of a
 * process that has ended leaves at once.
 */
SEC("iter/bpf_map_elem")
int store_writes_iter(struct bpf_iter__bpf_map_elem *ctx)
{
	struct store_write_key key, *at = ctx->key;
	struct store_write_entry *entry;
	bool ended;

	if (!at)
		return 0;
	key = *at;
	entry = bpf_map_lookup_elem(&store_writes, &key);
	if (!entry)
		return 0;
	ended = store_actor_ended(key.start_time, key.pid);
	if (entry->record.count &&
	    !report(ctx->meta->seq, entry, ended ? FLOW_REPORT_LAST : FLOW_REPORT_PERIODIC))
		return 0;
	if (ended || entry->leaving) {
		bpf_map_delete_elem(&store_writes, &key);
		return 0;
	}
	if (entry->told)
		entry->quiet_walks = 0;
	else if (++entry->quiet_walks >= STORE_WRITES_QUIET)
		entry->leaving = 1;
	entry->told = 0;
	return 0;
}
