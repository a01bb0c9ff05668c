/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Like connections: of one process, to one peer and port (of accepted ones: from one address to one
 * port of ours). Past a rate they say nothing new each, and are counted here instead of told.
 *
 * Two steps, each with half of the rate. A table of hashes counts what may be like: the usual,
 * rare connection costs one look at it. Only what comes often there gets an entry of its own, so
 * that two peers with one hash are told apart.
 */
#ifndef VEDETTE_REPEATS_BPF_H
#define VEDETTE_REPEATS_BPF_H

#include "sockets.bpf.h"
#include "endpoint.bpf.h"
#include "identity.bpf.h"

/* The rate is per window of 2^30 nanoseconds, about a second. */
#define REPEAT_WINDOW_SHIFT 30
#define SUSPECTS_SHIFT 13

/* A call instead of a copy at every place; not every file that includes this makes one. */
#define OWN_FUNCTION __attribute__((noinline, unused))

struct repeat_key {
	u64 start_time;
	u32 remote_addr[4];
	u32 pid;
	u32 netns;
	/* Remote port of an outgoing connection, local port of an accepted one. */
	u16 port;
	u8 direction;
	u8 _pad[5];
};

struct repeat {
	/* Of the first one. Only the process part of `who` is in use. */
	struct record_header who;
	u32 local_addr[4];
	/* Since the last report, which was at `reported`. */
	u64 bytes_sent;
	u64 bytes_received;
	u64 reported;
	u32 opened;
	u32 closed;
	u32 failed;
	/* How many in the window: told, and then counted. */
	u32 window;
	u32 in_window;
	u8 process_source;
	/* Quiet: removed at the next report. Nothing is counted here any more, so nothing is lost. */
	u8 leaving;
	u8 _pad[2];
};

/* When it is full, connections are told one by one. The iterator removes what is quiet. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct repeat_key);
	__type(value, struct repeat);
} repeats __weak SEC(".maps");

static const struct repeat no_repeat;

/* By hash: the window, and how many in it (upper and lower half). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << SUSPECTS_SHIFT);
	__type(key, u32);
	__type(value, u64);
} repeat_suspects __weak SEC(".maps");

static __always_inline void repeat_key_fill(struct repeat_key *key,
					    const struct socket_entry *entry,
					    const struct endpoint *end)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->start_time = entry->who.start_time;
	__builtin_memcpy(key->remote_addr, end->remote_addr, 16);
	key->pid = entry->who.pid;
	key->netns = end->netns;
	key->direction = entry->direction;
	key->port = entry->direction == DIRECTION_ACCEPTED ? end->local_port : end->remote_port;
}

/* Multiply and fold: any change of the key changes most bits, and the seed is ours. */
static __always_inline u32 repeat_hash(const struct repeat_key *key)
{
	const u64 *words = (const u64 *)key;
	u64 hash = repeats_seed;

	_Static_assert(sizeof(*key) == 40, "five words");
#pragma unroll
	for (int i = 0; i < 5; i++) {
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15ull;
		hash ^= hash >> 32;
	}
	return (u32)hash & ((1 << SUSPECTS_SHIFT) - 1);
}

static __always_inline bool repeat_suspected(const struct repeat_key *key, u32 window)
{
	u32 slot = repeat_hash(key);
	u64 *count = bpf_map_lookup_elem(&repeat_suspects, &slot);

	if (!count)
		return false;
	/* Two CPUs may count one for two: told once more than the rate. */
	if (*count >> 32 != window)
		*count = (u64)window << 32;
	*count += 1;
	return (u32)*count > repeats_told / 2;
}

/*
 * The entry in which this connection or attempt is to be counted; NULL: tell it. One of which no
 * process is known is always told.
 */
static OWN_FUNCTION struct repeat *repeat_find(const struct socket_entry *entry,
					       const struct endpoint *end, u64 now)
{
	u32 window = now >> REPEAT_WINDOW_SHIFT;
	struct repeat_key key;
	struct repeat *repeat;

	if (!repeats_told || !entry->who.pid)
		return NULL;
	repeat_key_fill(&key, entry, end);
	if (!repeat_suspected(&key, window))
		return NULL;
	repeat = bpf_map_lookup_elem(&repeats, &key);
	if (!repeat) {
		/* Filled where it lies: it does not fit the stack of Linux 6.1 beside the caller's. */
		bpf_map_update_elem(&repeats, &key, &no_repeat, BPF_NOEXIST);
		repeat = bpf_map_lookup_elem(&repeats, &key);
		if (!repeat)
			return NULL;
		repeat->reported = now;
		repeat->process_source = entry->process_source;
		identity_copy(&repeat->who, &entry->who);
		__builtin_memcpy(repeat->local_addr, end->local_addr, 16);
	}
	if (repeat->leaving)
		return NULL;
	if (repeat->window != window) {
		repeat->window = window;
		repeat->in_window = 0;
	}
	__sync_fetch_and_add(&repeat->in_window, 1);
	return repeat->in_window > repeats_told - repeats_told / 2 ? repeat : NULL;
}

/* The end of a connection whose beginning was counted only. False: it must be told. */
static OWN_FUNCTION bool repeat_count_close(const struct socket_entry *entry,
					    const struct endpoint *end, u64 sent,
					    u64 received)
{
	struct repeat_key key;
	struct repeat *repeat;

	repeat_key_fill(&key, entry, end);
	repeat = bpf_map_lookup_elem(&repeats, &key);
	if (!repeat || repeat->leaving)
		return false;
	__sync_fetch_and_add(&repeat->closed, 1);
	__sync_fetch_and_add(&repeat->bytes_sent, sent);
	__sync_fetch_and_add(&repeat->bytes_received, received);
	return true;
}

#endif
