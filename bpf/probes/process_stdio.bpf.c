// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Programs that begin with an internet socket as standard input, output or error: how a shell is
 * handed to somebody far away.
 */
#include "record.bpf.h"
#include "identity.bpf.h"
#include "endpoint.bpf.h"
#include "scope.bpf.h"
#include "socket_file.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define STANDARD_STREAMS 3

/*
 * The internet sockets behind descriptors 0, 1 and 2; NULL for what is none. Mostly two of them are
 * one file, and looking behind a file costs more than all the rest.
 */
static __always_inline bool streams_find(struct task_struct *task, struct sock **streams)
{
	struct file *files[STANDARD_STREAMS] = {};
	struct fdtable *table = task->files->fdt;

	bpf_probe_read_kernel(files, sizeof(files), table->fd);
	streams[0] = files[0] ? inet_socket_of(files[0]) : NULL;
	if (files[1])
		streams[1] = files[1] == files[0] ? streams[0] : inet_socket_of(files[1]);
	if (files[2])
		streams[2] = files[2] == files[1] ? streams[1] : inet_socket_of(files[2]);
	return streams[0] || streams[1] || streams[2];
}

static __always_inline void stdio_tell(struct task_struct *task, struct sock *sk, u8 descriptors,
				       u64 now)
{
	struct process_stdio *record;
	struct endpoint end = {};

	endpoint_read(&end, sk);
	record = record_reserve(KIND_PROCESS_STDIO, sizeof(*record), now, cgroup_id_of(task));
	if (!record)
		return;
	identity_fill(&record->header, task);
	__builtin_memcpy(record->local_addr, end.local_addr, 16);
	__builtin_memcpy(record->remote_addr, end.remote_addr, 16);
	record->connection_id = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	record->netns = end.netns;
	record->local_port = end.local_port;
	record->remote_port = end.remote_port;
	record->protocol = BPF_CORE_READ(sk, sk_protocol);
	record->descriptors = descriptors;
	record_submit(record);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_stdio_tp_btf, struct task_struct *task)
{
	struct sock *streams[STANDARD_STREAMS] = {};
	u8 descriptors;
	u64 now;

	if (!scope_has_current() || !streams_find(task, streams))
		return 0;
	now = bpf_ktime_get_boot_ns();
#pragma unroll
	for (int fd = 0; fd < STANDARD_STREAMS; fd++) {
		if (!streams[fd])
			continue;
		descriptors = 1 << fd;
#pragma unroll
		for (int other = fd + 1; other < STANDARD_STREAMS; other++) {
			if (streams[other] != streams[fd])
				continue;
			descriptors |= 1 << other;
			streams[other] = NULL;
		}
		stdio_tell(task, streams[fd], descriptors, now);
	}
	return 0;
}
