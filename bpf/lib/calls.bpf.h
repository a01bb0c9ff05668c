/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Calls in progress, for pairs of kprobes: the return of a function does not know its arguments. */
#ifndef VEDETTE_CALLS_BPF_H
#define VEDETTE_CALLS_BPF_H

#include "maps.bpf.h"

/* Which function; a thread can be in several at once. */
enum call_function {
	CALL_VSOCK_CONNECT,
	CALL_VSOCK_ACCEPT,
	CALL_VSOCK_SEND,
	CALL_VSOCK_RECEIVE,
	CALL_RDMA_MODIFY,
	CALL_RDMA_ATTRIBUTES,
};

struct call_key {
	u64 pid_tgid;
	u64 function;
};

struct call {
	u64 arguments[3];
};

/*
 * LRU: a return that the kernel did not show us (too many at once) leaves an entry behind, and the
 * thread may never make that call again.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2048);
	__type(key, struct call_key);
	__type(value, struct call);
} calls __weak SEC(".maps");

static __always_inline void call_begin(enum call_function function, const struct call *call)
{
	struct call_key key = { .pid_tgid = bpf_get_current_pid_tgid(), .function = function };

	bpf_map_update_elem(&calls, &key, call, BPF_ANY);
}

/* False when its beginning was not seen. */
static __always_inline bool call_end(enum call_function function, struct call *call)
{
	struct call_key key = { .pid_tgid = bpf_get_current_pid_tgid(), .function = function };
	struct call *found = bpf_map_lookup_elem(&calls, &key);

	if (!found)
		return false;
	*call = *found;
	bpf_map_delete_elem(&calls, &key);
	return true;
}

#endif
