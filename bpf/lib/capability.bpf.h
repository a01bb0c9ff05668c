/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What a process may do on the node. */
#ifndef VEDETTE_CAPABILITY_BPF_H
#define VEDETTE_CAPABILITY_BPF_H

#include "kernel.bpf.h"

/* linux/capability.h: part of the user interface. */
#define CAPABILITY_SYS_ADMIN 21

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* Two words before Linux 6.3, one since: 64 bits either way. */
typedef struct {
	u64 val;
} kernel_cap_t;

struct user_namespace {
	int level;
};

struct cred___capable {
	kernel_cap_t cap_effective;
	struct user_namespace *user_ns;
};

#pragma clang attribute pop

/* CAP_SYS_ADMIN in the initial user namespace, which is what drivers ask for. */
static __always_inline bool has_sys_admin(struct task_struct *task)
{
	struct cred___capable *cred = (void *)BPF_CORE_READ(task, cred);
	u64 bits = 0;

	if (BPF_CORE_READ(cred, user_ns, level) != 0)
		return false;
	bpf_probe_read_kernel(&bits, sizeof(bits),
			      (void *)cred + bpf_core_field_offset(cred->cap_effective));
	return bits >> CAPABILITY_SYS_ADMIN & 1;
}

#endif
