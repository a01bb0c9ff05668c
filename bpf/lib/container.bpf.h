/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Is a process in a container? By its namespaces and its root, not by what its cgroup is called. */
#ifndef VEDETTE_CONTAINER_BPF_H
#define VEDETTE_CONTAINER_BPF_H

#include "kernel.bpf.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct fs_struct {
	struct path root;
};

struct pid_namespace {
	struct task_struct *child_reaper;
};

/* What is asked here of types that others know in part. */
struct upid___namespace {
	struct pid_namespace *ns;
};

struct pid___level {
	unsigned int level;
	struct upid___namespace numbers[1];
};

struct task_struct___place {
	struct pid___level *thread_pid;
	struct fs_struct *fs;
};

#pragma clang attribute pop

/* The first process of the node. */
static __always_inline struct task_struct *first_process(struct task_struct *task)
{
	struct task_struct___place *place = (void *)task;
	struct pid___level *pid = BPF_CORE_READ(place, thread_pid);

	return BPF_CORE_READ(pid, numbers[0].ns, child_reaper);
}

static __always_inline struct dentry *root_of(struct task_struct *task)
{
	struct task_struct___place *place = (void *)task;

	return BPF_CORE_READ(place, fs, root.dentry);
}

/*
 * Not in the initial pid namespace, or with another root than the first process of the node. Not by
 * the mount namespace: every second service of systemd has its own, with the root of the node.
 */
static __always_inline bool task_in_container(struct task_struct *task)
{
	struct task_struct___place *place = (void *)task;

	if (task->flags & TASK_FLAG_KERNEL_THREAD)
		return false;
	if (BPF_CORE_READ(place, thread_pid, level) > 0)
		return true;
	return root_of(task) != root_of(first_process(task));
}

#endif
