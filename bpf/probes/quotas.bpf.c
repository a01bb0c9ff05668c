// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* What cgroups lost to their quota: reported once a second, by walking the map. */
#include "record.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("iter/bpf_map_elem")
int quotas_iter(struct bpf_iter__bpf_map_elem *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct cgroup_flood record = {};
	u64 *cgroup_id = ctx->key, id, now, sum = 0, lost[QUOTA_LOST_KINDS];
	struct quota *quota;

	if (!cgroup_id)
		return 0;
	id = *cgroup_id;
	quota = bpf_map_lookup_elem(&quotas, &id);
	if (!quota)
		return 0;
#pragma unroll
	for (int kind = 0; kind < QUOTA_LOST_KINDS; kind++)
		sum += lost[kind] = quota->lost[kind];
	now = bpf_ktime_get_boot_ns();
	if (sum == 0) {
		quota->reported = now;
		return 0;
	}
	record.lost_connection_open = lost[QUOTA_LOST_CONNECTION_OPEN];
	record.lost_connection_close = lost[QUOTA_LOST_CONNECTION_CLOSE];
	record.lost_connection_failed = lost[QUOTA_LOST_CONNECTION_FAILED];
	record.lost_datagram_flow = lost[QUOTA_LOST_DATAGRAM_FLOW];
	record.lost_process_exec = lost[QUOTA_LOST_PROCESS_EXEC];
	record.lost_process_exit = lost[QUOTA_LOST_PROCESS_EXIT];
	record.lost_other = lost[QUOTA_LOST_OTHER];
	record_stamp(&record.header, KIND_CGROUP_FLOOD, sizeof(record), now);
	record.header.cgroup_id = id;
	record.duration_ns = now - quota->reported;
	record.quota_per_s = quota_per_s;
	/* When the page is full the kernel calls again with the same entry. */
	if (bpf_seq_write(seq, &record, sizeof(record)) != 0)
		return 0;
	record_count(KIND_CGROUP_FLOOD, false);
	quota->reported = now;
	/* Subtracted and not set to 0: more was lost meanwhile. */
#pragma unroll
	for (int kind = 0; kind < QUOTA_LOST_KINDS; kind++)
		__sync_fetch_and_add(&quota->lost[kind], -lost[kind]);
	return 0;
}
