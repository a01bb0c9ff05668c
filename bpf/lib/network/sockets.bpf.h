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
	u32 _pad2;
};

/*
 * Connections and attempts, by address of the socket. The size is set by the loader, allocated at
 * once: no allocation in softirq. Not sk_storage, which would grow with the node's connections,
 * and which kprobes cannot reach.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, u64);
	__type(value, struct socket_entry);
} sockets __weak SEC(".maps");

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

/* For a socket without an entry of its own. */
static __always_inline void entry_store(u64 key, struct socket_entry *entry)
{
	map_status status = bpf_map_update_elem(&sockets, &key, entry, BPF_NOEXIST);

	if (status == -EEXIST) {
		fault_count(FAULT_SOCKET_STALE);
		status = bpf_map_update_elem(&sockets, &key, entry, BPF_EXIST);
	}
	if (status != 0)
		fault_count(status == -E2BIG ? FAULT_SOCKETS_FULL : FAULT_SOCKETS_BUSY);
}

static __always_inline void entry_remove(u64 key)
{
	map_status status = bpf_map_delete_elem(&sockets, &key);

	if (status != 0 && status != -ENOENT)
		fault_count(FAULT_SOCKETS_BUSY);
}

/* The entry of this very socket; NULL, and gone, when it was that of an earlier one. */
static __always_inline struct socket_entry *entry_find(u64 key, u64 cookie)
{
	struct socket_entry *entry = bpf_map_lookup_elem(&sockets, &key);

	/* Accepted before it had a cookie, which accept() cannot make: this is it. */
	if (entry && entry->cookie == 0)
		entry->cookie = cookie;
	if (!entry || entry->cookie == cookie)
		return entry;
	entry_remove(key);
	fault_count(FAULT_SOCKET_STALE);
	return NULL;
}

#endif
