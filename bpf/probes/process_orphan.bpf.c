// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Children that outlive their parent. The kernel gives them to init or a subreaper, and from then
 * on nothing says who made them: forking twice is the usual way out of a process tree. This is the
 * last moment at which the true parent is known.
 */
#include "record.bpf.h"
#include "identity.bpf.h"
#include "scope.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Told one by one; and counted, so that a parent of thousands costs a bounded time. */
#define CHILDREN_TOLD_MAX 32
#define CHILDREN_COUNTED_MAX 256

static __always_inline struct task_struct *child_of(struct list_head *link)
{
	return (void *)link - bpf_core_field_offset(struct task_struct, sibling);
}

static __always_inline struct list_head *link_next(struct list_head *link)
{
	return BPF_CORE_READ(link, next);
}

/* Another thread may change the list meanwhile: then we read some links too many or too few. */
static __always_inline u32 children_count(struct list_head *head)
{
	struct list_head *link = link_next(head);
	u32 count = 0;

	for (int i = 0; i < CHILDREN_COUNTED_MAX && link && link != head; i++) {
		link = link_next(link);
		count++;
	}
	return count;
}

static __always_inline void orphan_tell(struct task_struct *child, u32 unlisted, u64 now)
{
	struct process_orphan *record;

	/* A zombie does nothing any more. */
	if (BPF_CORE_READ(child, exit_state) != 0)
		return;
	if (!scope_has_cgroup_read(BPF_CORE_READ(child, cgroups, dfl_cgrp)))
		return;
	record = record_reserve(KIND_PROCESS_ORPHAN, sizeof(*record), now,
				BPF_CORE_READ(child, cgroups, dfl_cgrp, kn, id));
	if (!record)
		return;
	identity_read(&record->header, child);
	record->children_unlisted = unlisted;
	record_submit(record);
}

/*
 * Called for every thread. The children of one that ends alone go to another thread of the process,
 * so only those of the last, or of threads that end together, lose their parent.
 */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_orphan_tp_btf, struct task_struct *task)
{
	struct signal_struct *signal = task->signal;
	struct list_head *head = (void *)task + bpf_core_field_offset(task->children);
	struct list_head *link = task->children.next;
	u32 count;
	u64 now;

	if (link == head)
		return 0;
	if (signal->live.counter != 0 && !(signal->flags & SIGNAL_FLAG_GROUP_EXIT))
		return 0;
	now = bpf_ktime_get_boot_ns();
	count = children_count(head);
	for (int i = 0; i < CHILDREN_TOLD_MAX && link && link != head; i++) {
		orphan_tell(child_of(link),
			    count > CHILDREN_TOLD_MAX ? count - CHILDREN_TOLD_MAX : 0, now);
		link = link_next(link);
	}
	return 0;
}
