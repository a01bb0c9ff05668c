/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Calls in progress, for pairs of kprobes: the return of a function does not know its arguments. */
#ifndef VEDETTE_CALLS_BPF_H
#define VEDETTE_CALLS_BPF_H

#include "record.bpf.h"

/* Which function; a thread can be in several at once. */
enum call_function {
	CALL_CONNECT_V4,
	CALL_CONNECT_V6,
	CALL_VSOCK_CONNECT,
	CALL_VSOCK_ACCEPT,
	CALL_VSOCK_SEND,
	CALL_VSOCK_RECEIVE,
	CALL_RDMA_MODIFY,
	CALL_RDMA_ATTRIBUTES,
	CALL_KERNEL_READ,
	CALL_KERNEL_DATA,
	CALL_REQUEST_FIRMWARE,
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
 * thread may never make that call again. What is forgotten for want of room is missed at its
 * return, and counted.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct call_key);
	__type(value, struct call);
} calls __weak SEC(".maps");

static __always_inline void call_begin(enum call_function function, const struct call *call)
{
	struct call_key key = { .pid_tgid = bpf_get_current_pid_tgid(), .function = function };

	bpf_map_update_elem(&calls, &key, call, BPF_ANY);
}

/* False, and counted, when its beginning is not known: ask only where call_begin was asked. */
static __always_inline bool call_end(enum call_function function, struct call *call)
{
	struct call_key key = { .pid_tgid = bpf_get_current_pid_tgid(), .function = function };
	struct call *found = bpf_map_lookup_elem(&calls, &key);

	if (!found) {
		fault_count(FAULT_CALLS_FORGOTTEN);
		return false;
	}
	*call = *found;
	bpf_map_delete_elem(&calls, &key);
	return true;
}

#endif
