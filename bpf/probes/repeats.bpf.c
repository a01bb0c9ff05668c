// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * What was counted instead of told (repeats.bpf.h): reported once a second, by walking the map.
 *
 * An entry in which nothing happened for long leaves in two steps, a second apart: who found it
 * before the first has finished by the second, and after the first nobody counts in it.
 */
#include "repeats.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline void report_fill(struct connection_repeat *record,
					const struct repeat_key *key, const struct repeat *repeat,
					u64 now)
{
	record_stamp(&record->header, KIND_CONNECTION_REPEAT, sizeof(*record), now);
	identity_copy(&record->header, &repeat->who);
	__builtin_memcpy(record->local_addr, repeat->local_addr, 16);
	__builtin_memcpy(record->remote_addr, key->remote_addr, 16);
	record->bytes_sent = repeat->bytes_sent;
	record->bytes_received = repeat->bytes_received;
	record->duration_ns = now - repeat->reported;
	record->netns = key->netns;
	record->opened = repeat->opened;
	record->closed = repeat->closed;
	record->failed = repeat->failed;
	if (key->direction == DIRECTION_ACCEPTED)
		record->local_port = key->port;
	else
		record->remote_port = key->port;
	record->protocol = PROTOCOL_TCP;
	record->direction = key->direction;
	record->process_source = repeat->process_source;
}

SEC("iter/bpf_map_elem")
int repeats_iter(struct bpf_iter__bpf_map_elem *ctx)
{
	struct repeat_key *found = ctx->key, key;
	struct connection_repeat record = {};
	struct repeat *repeat;
	u64 now;

	if (!found)
		return 0;
	key = *found;
	repeat = bpf_map_lookup_elem(&repeats, &key);
	if (!repeat)
		return 0;
	now = bpf_ktime_get_boot_ns();
	report_fill(&record, &key, repeat, now);
	if (record.opened | record.closed | record.failed) {
		/* When the page is full the kernel calls again with the same entry. */
		if (bpf_seq_write(ctx->meta->seq, &record, sizeof(record)) != 0)
			return 0;
		record_count(KIND_CONNECTION_REPEAT, false);
		/* Subtracted and not set to 0: more was counted meanwhile. */
		__sync_fetch_and_add(&repeat->bytes_sent, -record.bytes_sent);
		__sync_fetch_and_add(&repeat->bytes_received, -record.bytes_received);
		__sync_fetch_and_add(&repeat->opened, -record.opened);
		__sync_fetch_and_add(&repeat->closed, -record.closed);
		__sync_fetch_and_add(&repeat->failed, -record.failed);
		repeat->reported = now;
	} else if (repeat->leaving) {
		bpf_map_delete_elem(&repeats, &key);
	} else if (repeat->window + 2 < (u32)(now >> REPEAT_WINDOW_SHIFT)) {
		repeat->leaving = 1;
	}
	return 0;
}
