/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What was told of a process already, so that it is told once. */
#ifndef VEDETTE_TOLD_BPF_H
#define VEDETTE_TOLD_BPF_H

#include "record.bpf.h"

/* A process, and something that it did something to: a file or a socket. */
struct told_key {
	u64 start_time;
	u64 object;
	u32 pid;
	u32 device;
};

/* Stands for one object in the time since the boot, where the kernel has no number for it. */
static __always_inline u64 opaque_id(u64 now)
{
	return now << 10 | (bpf_get_smp_processor_id() & 1023);
}

/*
 * Is it the first time in `window_ns` that this is told? 0: the first time at all, as far as `map`
 * remembers: what was not told again for longest is forgotten first, and then told once more.
 */
static __always_inline bool told_first(void *map, const struct told_key *key, u64 now,
				       u64 window_ns)
{
	u64 *told = bpf_map_lookup_elem(map, key);

	if (told && (!window_ns || now - *told < window_ns))
		return false;
	bpf_map_update_elem(map, key, &now, BPF_ANY);
	return true;
}

#endif
