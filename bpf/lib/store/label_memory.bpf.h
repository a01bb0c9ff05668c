/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What is remembered of which store a file belongs to, and what makes that wrong. */
#ifndef VEDETTE_STORE_LABEL_MEMORY_BPF_H
#define VEDETTE_STORE_LABEL_MEMORY_BPF_H

#include "maps.bpf.h"

/* What makes remembered labels wrong: counted by the kernel (renames), and by the agent. */
enum store_change {
	STORE_CHANGE_RENAME,
	STORE_CHANGE_ROOTS,
	STORE_CHANGES,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STORE_CHANGES);
	__type(key, u32);
	__type(value, u32);
} store_changes __weak SEC(".maps");

struct store_file_key {
	u64 inode;
	u32 device;
	/* Of the inode: its number is given to another file later. Of a folder with this bit turned. */
	u32 generation;
};

#define STORE_FILE_IS_FOLDER (1u << 31)

struct store_file {
	/* Of the labels, when it was looked for. */
	u64 generation;
	/* 0: below no root. */
	u32 store;
	u32 _pad;
};

/* Labels that were found. A file that is forgotten is looked for again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct store_file_key);
	__type(value, struct store_file);
} store_files __weak SEC(".maps");

/*
 * Files of a store that were given a name outside of it, to the number of the store. The one that
 * was not read for longest is forgotten, and then belongs to the store by its names in it only.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct store_file_key);
	__type(value, u32);
} store_links __weak SEC(".maps");

/*
 * What is remembered of files, once more, as one number each: where it is found, no function is
 * called. 16 bits are the number of the store, the others are of a hash of what the answer is
 * about: 62 bits of it must be the same for a wrong one, and it begins with a number that no
 * workload knows.
 */
#define STORE_LABELS_BITS 14
#define STORE_LABEL_STORE 0xffff

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << STORE_LABELS_BITS);
	__type(key, u32);
	__type(value, u64);
} store_labels __weak SEC(".maps");

static __always_inline u64 store_labels_generation(void)
{
	u32 renames = STORE_CHANGE_RENAME, roots = STORE_CHANGE_ROOTS;
	u32 *renamed = bpf_map_lookup_elem(&store_changes, &renames);
	u32 *changed = bpf_map_lookup_elem(&store_changes, &roots);

	return (u64)(renamed ? *renamed : 0) << 32 | (changed ? *changed : 0);
}

static __always_inline u64 store_label_hash(const struct store_file_key *key)
{
	u64 hash = (key->inode ^ repeats_seed) * 0x9e3779b97f4a7c15ull;

	hash = (hash ^ hash >> 32 ^ ((u64)key->device << 32 | key->generation)) *
	       0xbf58476d1ce4e5b9ull;
	hash = (hash ^ hash >> 29 ^ store_labels_generation()) * 0x94d049bb133111ebull;
	return hash ^ hash >> 32;
}

static __always_inline u64 *store_label_of(u64 hash)
{
	u32 at = hash & ((1 << STORE_LABELS_BITS) - 1);

	return bpf_map_lookup_elem(&store_labels, &at);
}

/* False: it is not known. A place that is empty is not the answer to anything. */
static __always_inline bool store_label_at(u64 hash, u32 *store)
{
	u64 *label = store_label_of(hash), found = label ? *label : 0;

	if (!found || (found ^ hash) & ~(u64)STORE_LABEL_STORE)
		return false;
	*store = found & STORE_LABEL_STORE;
	return true;
}

static __always_inline void store_label_set(u64 hash, u32 store)
{
	u64 *label = store_label_of(hash);

	if (label && store <= STORE_LABEL_STORE)
		*label = (hash & ~(u64)STORE_LABEL_STORE) | store;
}

static __always_inline void store_label_forget(u64 hash)
{
	u64 *label = store_label_of(hash);

	if (label)
		*label = 0;
}

/* Every label is looked for again. */
static __always_inline void store_labels_forget(void)
{
	u32 key = STORE_CHANGE_RENAME, *renamed = bpf_map_lookup_elem(&store_changes, &key);

	if (renamed)
		__sync_fetch_and_add(renamed, 1);
}

#endif
