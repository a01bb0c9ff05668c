/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Processes that change or list stores: whether they have ended. */
#ifndef VEDETTE_STORE_ACTOR_BPF_H
#define VEDETTE_STORE_ACTOR_BPF_H

#include "record.bpf.h"

struct store_actor {
	u64 start_time;
	u32 pid;
	u32 _pad;
};

/*
 * 1: it has ended. One that is forgotten for want of room is taken for one that is quiet: its last
 * report says that there may be more.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct store_actor);
	__type(value, u8);
} store_actors __weak SEC(".maps");

static __always_inline void store_actor_of(struct store_actor *actor, struct task_struct *task)
{
	actor->start_time = task->group_leader->start_boottime;
	actor->pid = task->tgid;
	actor->_pad = 0;
}

/* The current process is one. */
static __always_inline void store_actor_note(void)
{
	struct store_actor actor;
	u8 ended = 0;

	store_actor_of(&actor, bpf_get_current_task_btf());
	bpf_map_update_elem(&store_actors, &actor, &ended, BPF_ANY);
}

static __always_inline bool store_actor_ended(u64 start_time, u32 pid)
{
	struct store_actor actor = { .start_time = start_time, .pid = pid };
	u8 *ended = bpf_map_lookup_elem(&store_actors, &actor);

	return ended && *ended;
}

#endif
