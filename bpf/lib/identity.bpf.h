/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Who acts: the process part of a record's header. */
#ifndef VEDETTE_IDENTITY_BPF_H
#define VEDETTE_IDENTITY_BPF_H

#include "maps.bpf.h"

static __always_inline u64 cgroup_id_of(struct task_struct *task)
{
	return task->cgroups->dfl_cgrp->kn->id;
}

/*
 * Fills the process part of `who` from a task that the verifier trusts (no helper call per field).
 * A process is its thread group: the leader's start survives execve by another thread, since the
 * kernel hands the leader's start time on with its pid.
 */
static __always_inline void identity_fill(struct record_header *who, struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;
	struct task_struct *parent = leader->real_parent;
	const u64 *comm = (const u64 *)leader->comm;
	u64 *to = (u64 *)who->comm;

	who->pid = task->tgid;
	who->start_time = leader->start_boottime;
	who->ppid = parent->tgid;
	who->parent_start_time = parent->group_leader->start_boottime;
	who->uid = task->cred->euid.val;
	who->cgroup_id = cgroup_id_of(task);
	/* In two loads: a helper call costs more than all the lines above. */
	to[0] = comm[0];
	to[1] = comm[1];
}

/* As identity_fill, of a task that the verifier does not trust. */
static __always_inline void identity_read(struct record_header *who, struct task_struct *task)
{
	who->pid = BPF_CORE_READ(task, tgid);
	who->start_time = BPF_CORE_READ(task, group_leader, start_boottime);
	who->ppid = BPF_CORE_READ(task, real_parent, tgid);
	who->parent_start_time = BPF_CORE_READ(task, real_parent, group_leader, start_boottime);
	who->uid = BPF_CORE_READ(task, cred, euid.val);
	who->cgroup_id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	BPF_CORE_READ_INTO(&who->comm, task, group_leader, comm);
}

/* Copies the process part only: time, kind and size of `to` stay. */
static __always_inline void identity_copy(struct record_header *to,
					  const struct record_header *from)
{
	to->pid = from->pid;
	to->start_time = from->start_time;
	to->parent_start_time = from->parent_start_time;
	to->ppid = from->ppid;
	to->uid = from->uid;
	to->cgroup_id = from->cgroup_id;
	__builtin_memcpy(to->comm, from->comm, sizeof(to->comm));
}

#endif
