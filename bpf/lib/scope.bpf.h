/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Is this ours to report? Asked before any other work. */
#ifndef VEDETTE_SCOPE_BPF_H
#define VEDETTE_SCOPE_BPF_H

#include "maps.bpf.h"

static __always_inline bool scope_has_current(void)
{
	if (!scope_cgroup_id)
		return true;
	return bpf_get_current_ancestor_cgroup_id(scope_cgroup_level) == scope_cgroup_id;
}

static __always_inline bool scope_has(struct cgroup *cgroup, int level)
{
	struct cgroup *ancestor = NULL;
	u64 at = 0, id = 0;

	if (level < scope_cgroup_level)
		return false;
	if (bpf_core_field_exists(cgroup->ancestors)) {
		at = (u64)cgroup + bpf_core_field_offset(struct cgroup, ancestors) +
		     scope_cgroup_level * sizeof(ancestor);
		bpf_probe_read_kernel(&ancestor, sizeof(ancestor), (void *)at);
		id = BPF_CORE_READ(ancestor, kn, id);
	} else {
		at = (u64)cgroup + bpf_core_field_offset(struct cgroup___before_6_1, ancestor_ids) +
		     scope_cgroup_level * sizeof(id);
		bpf_probe_read_kernel(&id, sizeof(id), (void *)at);
	}
	return id == scope_cgroup_id;
}

/* For a cgroup that is not the current task's: one of another task, or that of a socket. */
static __always_inline bool scope_has_cgroup(struct cgroup *cgroup)
{
	if (!scope_cgroup_id)
		return true;
	return cgroup && scope_has(cgroup, cgroup->level);
}

/* As scope_has_cgroup, of a cgroup that the verifier does not trust. */
static __always_inline bool scope_has_cgroup_read(struct cgroup *cgroup)
{
	if (!scope_cgroup_id)
		return true;
	return cgroup && scope_has(cgroup, BPF_CORE_READ(cgroup, level));
}

#endif
