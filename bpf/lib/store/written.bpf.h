/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* How much processes have passed to calls that write, as the kernel counts it for /proc/PID/io. */
#ifndef VEDETTE_STORE_WRITTEN_BPF_H
#define VEDETTE_STORE_WRITTEN_BPF_H

#include "kernel.bpf.h"

#define STORE_WRITTEN_UNKNOWN (~0ull)
/* Threads of one process; of one with more it is not known. */
#define STORE_WRITTEN_THREADS 128

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct task_io_accounting {
	u64 wchar;
};

struct task_struct___written {
	struct task_io_accounting ioac;
	struct list_head thread_node;
};

struct signal_struct___written {
	struct task_io_accounting ioac;
	struct list_head thread_head;
};

#pragma clang attribute pop

/*
 * Of a process since it began: what its threads wrote that have ended, and those that have not.
 * STORE_WRITTEN_UNKNOWN: it has too many, or the kernel does not count. `task_address` is one of
 * its threads.
 */
__weak __noinline u64 store_written_by(u64 task_address)
{
	struct task_struct___written *thread;
	struct signal_struct___written *signal;
	struct list_head *node, *head;
	u64 bytes;

	if (!bpf_core_field_exists(struct task_io_accounting, wchar))
		return STORE_WRITTEN_UNKNOWN;
	signal = (void *)BPF_CORE_READ((struct task_struct *)task_address, signal);
	bytes = BPF_CORE_READ(signal, ioac.wchar);
	head = (void *)signal + bpf_core_field_offset(struct signal_struct___written, thread_head);
	node = BPF_CORE_READ(signal, thread_head.next);
	for (int i = 0; i < STORE_WRITTEN_THREADS; i++) {
		if (!node || node == head)
			return node ? bytes : STORE_WRITTEN_UNKNOWN;
		thread = (void *)node -
			 bpf_core_field_offset(struct task_struct___written, thread_node);
		bytes += BPF_CORE_READ(thread, ioac.wchar);
		node = BPF_CORE_READ(thread, thread_node.next);
	}
	return STORE_WRITTEN_UNKNOWN;
}

#endif
