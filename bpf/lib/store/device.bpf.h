/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The file systems that hold stores. */
#ifndef VEDETTE_STORE_DEVICE_BPF_H
#define VEDETTE_STORE_DEVICE_BPF_H

#include "maps.bpf.h"

/* A file system that holds stores. */
struct store_device {
	/* Store of all files that are below no root; 0: none. */
	u32 store;
	u8 has_roots;
	u8 _pad[3];
};

/* By device number (kernel encoding). Filled by the agent; so are the next two. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, struct store_device);
} store_devices __weak SEC(".maps");

/*
 * A bit for each of these devices; others may have the same one. Most files are on none of them,
 * and this needs no call of a function. Filled by the agent.
 */
#define STORE_DEVICE_WORDS 64
#define STORE_MINOR_BITS 20

struct store_device_bits {
	u64 words[STORE_DEVICE_WORDS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct store_device_bits);
} store_device_bits __weak SEC(".maps");

/* False: this device holds no stores. */
static __always_inline bool store_device_may_have(u32 device)
{
	u32 zero = 0, bit = device ^ device >> STORE_MINOR_BITS;
	struct store_device_bits *bits = bpf_map_lookup_elem(&store_device_bits, &zero);

	return bits && bits->words[bit >> 6 & (STORE_DEVICE_WORDS - 1)] >> (bit & 63) & 1;
}

static __always_inline struct store_device *store_device_of(u32 device)
{
	if (!store_device_may_have(device))
		return NULL;
	return bpf_map_lookup_elem(&store_devices, &device);
}

#endif
