/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What is remembered of a TCP socket from one hook to the next. Shared by the connection probes. */
#ifndef VEDETTE_SOCKETS_BPF_H
#define VEDETTE_SOCKETS_BPF_H

#include "record.bpf.h"

struct socket_entry {
	/* Tells this socket from the next one at the same address; 0 while it has none. */
	u64 cookie;
	/* When the attempt began, when the connection stood; 0 when not seen. Nanoseconds of boot. */
	u64 began;
	u64 established;
	/* Only the process part is in use. */
	struct record_header who;
	u8 direction;
	u8 process_source;
	/* connection_open is out. */
	u8 opened;
	/* It is not: the beginning was counted as a repeat. */
	u8 counted;
	/* Found at start; 2: told. */
	u8 at_start;
	u8 _pad[3];
	/* Another process that used it last, where that is how a passed descriptor shows. */
	u32 user_pid;
	/* Bytes both ways that connection_totals told, in TOTALS_UNIT, rounded up; it wraps. */
	u32 totals_told;
};

#define TOTALS_UNIT_SHIFT 16

#define SOCKET_WAYS 8
#define OWNER_NONE 0
/* Being written; no address of a socket, nor is the next. */
#define OWNER_CLAIMED 1
#define OWNER_NOBODY 2

struct socket_set {
	/* Of each entry the address of its socket. */
	u64 owners[SOCKET_WAYS];
	struct socket_entry entries[SOCKET_WAYS];
};

/*
 * Connections and attempts, by address of the socket. The number of sets is fixed by the loader,
 * the memory is taken at once: no allocation in softirq.
 *
 * Each socket has two sets, by two hashes of its address, and goes to the one with more room: with
 * four sockets per set and eight ways there is always one, as good as. A hash map would take twice
 * as long for a connection (its locks, its list of free elements), and sk_storage, which allocates,
 * would grow with the node's connections and is out of reach for kprobes.
 *
 * Entries are found, changed and removed by who holds the socket's lock; accept(), which does not,
 * replaces a whole entry. Owners are changed by atomic operations only.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct socket_set);
} sockets __weak SEC(".maps");

/* Where an entry is; both NULL: nowhere. */
struct socket_place {
	u64 *owner;
	struct socket_entry *entry;
};

struct listener {
	struct record_header who;
	/* listen() was seen: better than any process that merely holds the socket. */
	u32 called;
	/* The listen record is out. */
	u32 told;
};

/*
 * Marks on listening sockets: who listens. The kernel clones a mark into each socket that the
 * listener accepts (BPF_F_CLONE), so that the right listener is known among several on one port
 * (SO_REUSEPORT), and the mark goes with the socket: nothing to evict. A connection without a mark
 * costs those out of scope one look at a NULL pointer.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct listener);
} listeners __weak SEC(".maps");

/* What the socket itself says when no process is known: the cgroup of whoever made it. */
static __always_inline void entry_without_process(struct socket_entry *entry, struct sock *sk)
{
	entry->who.cgroup_id = sk->sk_cgrp_data.cgroup->kn->id;
	entry->process_source = PROCESS_SOURCE_UNSPECIFIED;
}

/* Verified once, by itself: otherwise every way would be a case of its own in every program. */
#define ONE_FUNCTION __weak __attribute__((noinline))

/* The number that is at `value`: of a pointer one that the verifier lets us reckon with. */
ONE_FUNCTION u64 number_at(const u64 *value)
{
	return value ? *value : 0;
}

/* The way of this owner; SOCKET_WAYS: none. */
ONE_FUNCTION u32 way_of(u32 at, u64 owner)
{
	struct socket_set *set = bpf_map_lookup_elem(&sockets, &at);

	if (!set)
		return SOCKET_WAYS;
#pragma unroll
	for (int i = 0; i < SOCKET_WAYS; i++) {
		if (set->owners[i] == owner)
			return i;
	}
	return SOCKET_WAYS;
}

#define ROOM_ONE 0x10
#define ROOM_OWNED 0x100

/* How many ways are free, in ROOM_ONE, and one of them; or the way of this owner, ROOM_OWNED. */
ONE_FUNCTION u32 room_of(u32 at, u64 owner)
{
	struct socket_set *set = bpf_map_lookup_elem(&sockets, &at);
	u32 room = 0;

	if (!set)
		return 0;
#pragma unroll
	for (int i = 0; i < SOCKET_WAYS; i++) {
		if (set->owners[i] == owner)
			return ROOM_OWNED | i;
		if (set->owners[i] == OWNER_NONE)
			room = ((room & -ROOM_ONE) + ROOM_ONE) | i;
	}
	return room;
}

static __always_inline u64 address_of(struct sock *sk)
{
	return number_at((const u64 *)&sk);
}

static __always_inline u32 set_first(u64 key)
{
	return (key * 0x9e3779b97f4a7c15ull >> 32) * socket_sets >> 32;
}

static __always_inline u32 set_second(u64 key)
{
	return ((key ^ key >> 17) * 0xc2b2ae3d27d4eb4full >> 32) * socket_sets >> 32;
}

static __always_inline struct socket_place place_at(u32 at, u64 way)
{
	struct socket_set *set = bpf_map_lookup_elem(&sockets, &at);
	struct socket_place place = {};

	/* Otherwise the compiler compares a copy, and the verifier does not see it. */
	barrier_var(way);
	if (!set || way >= SOCKET_WAYS)
		return place;
	place.owner = &set->owners[way];
	place.entry = &set->entries[way];
	return place;
}

/* The place of the socket at this address, which may be that of an earlier one. */
static __always_inline struct socket_place place_find(u64 key)
{
	u32 at = set_first(key), way = way_of(at, key);

	if (way == SOCKET_WAYS) {
		at = set_second(key);
		way = way_of(at, key);
	}
	return place_at(at, way);
}

/* False: another CPU was faster. */
static __always_inline bool owner_change(u64 *owner, u64 from, u64 to)
{
	return __sync_val_compare_and_swap(owner, from, to) == from;
}

/*
 * Copies the entry to where `instead` has its place, or else to where there is room. Nowhere: it is
 * counted. Returns the owner.
 */
static __always_inline u64 *place_take(u64 key, u64 instead, const struct socket_entry *entry)
{
	u32 at = set_first(key), second = set_second(key);
	u32 room = room_of(at, instead), more = room_of(second, instead);
	struct socket_place place;
	u64 from = OWNER_NONE;

	if ((more & -ROOM_ONE) > (room & -ROOM_ONE)) {
		at = second;
		room = more;
	}
	if (room < ROOM_ONE) {
		fault_count(FAULT_SOCKETS_FULL);
		return NULL;
	}
	if (room & ROOM_OWNED) {
		fault_count(FAULT_SOCKET_STALE);
		from = instead;
	}
	place = place_at(at, room & (ROOM_ONE - 1));
	if (!place.owner || !owner_change(place.owner, from, OWNER_CLAIMED)) {
		fault_count(FAULT_SOCKETS_BUSY);
		return NULL;
	}
	*place.entry = *entry;
	/* A barrier, too: who finds the owner finds the entry. */
	__sync_lock_test_and_set(place.owner, key);
	return place.owner;
}

/* Frees the place of an entry, and of what accept() put instead of it meanwhile. */
static __always_inline void entry_remove(u64 key, u64 *owner)
{
	if (owner_change(owner, key, OWNER_NONE))
		return;
	owner = place_find(key).owner;
	if (owner)
		owner_change(owner, key, OWNER_NONE);
}

/* For a socket without an entry of its own. */
static __always_inline void entry_store(u64 key, const struct socket_entry *entry)
{
	place_take(key, key, entry);
}

/*
 * In place of the entry at `old`, for who does not hold the socket's lock. False: it closed
 * meanwhile, or there is no room. There are two for a moment, and a close takes one of them.
 */
static __always_inline bool entry_replace(u64 key, u64 *old, const struct socket_entry *entry)
{
	u64 *fresh = place_take(key, OWNER_NOBODY, entry);

	if (!fresh)
		return false;
	if (owner_change(old, key, OWNER_NONE))
		return true;
	owner_change(fresh, key, OWNER_NONE);
	return false;
}

/* The place of this very socket; none, and gone, when it was that of an earlier one. */
static __always_inline struct socket_place entry_find(u64 key, struct sock *sk)
{
	struct socket_place place = place_find(key);
	u64 cookie;

	if (!place.entry)
		return place;
	cookie = bpf_get_socket_cookie(sk);
	/* Accepted before it had a cookie, which accept() cannot make: this is it. */
	if (place.entry->cookie == 0)
		place.entry->cookie = cookie;
	if (place.entry->cookie == cookie)
		return place;
	entry_remove(key, place.owner);
	fault_count(FAULT_SOCKET_STALE);
	place.entry = NULL;
	return place;
}

#endif
