/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Files of stores that are changed in place, under their own names: what encrypts a store without
 * making a file, and what wipes it.
 *
 * Known at the end of an open file by the time of its last change (ctime): it is another one than
 * when the file was opened for writing. So writes cost nothing, and whatever way they take counts:
 * system calls, io_uring, mappings. A file that was made, cut short or only appended to is none.
 * Each file counts once for a process.
 *
 * Not seen: file systems that learn the time from a server later (FUSE); files that are shorter at
 * the end, which were cut; what is opened before its store is watched.
 */
#ifndef VEDETTE_STORE_OVERWRITE_BPF_H
#define VEDETTE_STORE_OVERWRITE_BPF_H

#include "change.bpf.h"

#define OPEN_APPENDS 02000
#define OPEN_CUTS 01000
/* In the nanoseconds of some kernels: somebody has asked for the time. */
#define CHANGED_NANOSECONDS_MASK 0x3fffffff

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct timespec64 {
	s64 tv_sec;
	long tv_nsec;
};

/* From Linux 6.11 on. */
struct inode___seconds {
	s64 i_ctime_sec;
	u32 i_ctime_nsec;
};

/* From Linux 6.6 on. */
struct inode___hidden {
	struct timespec64 __i_ctime;
};

struct inode___plain {
	struct timespec64 i_ctime;
};

struct file___flags {
	unsigned int f_flags;
};

#pragma clang attribute pop

struct store_open_key {
	/* Address of the file; where its end is not seen, the descriptor. */
	u64 file;
	/* Of the descriptor; otherwise 0. */
	u64 process;
};

/* A file of a store of artifacts that was there before, as it was opened for writing. */
struct store_open_file {
	struct dentry___store *dentry;
	struct inode___store *address;
	u64 inode;
	u64 bytes;
	u64 changed;
	u32 device;
	u32 fs_magic;
	u32 store;
	u32 generation;
};

#define STORE_OPEN_FILES 16384

/* Those that opened longest ago are forgotten when it is full: what they do is not told. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, STORE_OPEN_FILES);
	__type(key, struct store_open_key);
	__type(value, struct store_open_file);
} store_open_files __weak SEC(".maps");

/*
 * How many of them are open, by file. The kernel does not tell what it evicts: one more than fit
 * has cost another one. Descriptors are not counted: their end may not be seen, and so what is
 * evicted is mostly over.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, s64);
} store_open_count __weak SEC(".maps");

static __always_inline void store_open_counted(s64 more)
{
	u32 zero = 0;
	s64 *count = bpf_map_lookup_elem(&store_open_count, &zero);

	if (!count || __sync_fetch_and_add(count, more) + more <= STORE_OPEN_FILES)
		return;
	__sync_fetch_and_add(count, -1);
	fault_count(FAULT_STORE_OPEN_FILES_EVICTED);
}

struct store_overwritten_key {
	u64 start_time;
	u64 inode;
	u32 pid;
	u32 device;
};

/* Files that count already. One that is forgotten counts again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct store_overwritten_key);
	__type(value, u8);
} store_overwritten __weak SEC(".maps");

/* When an inode was changed last, as one number. */
static __always_inline u64 store_changed_at(const void *inode)
{
	const struct inode___seconds *seconds = inode;
	const struct inode___hidden *hidden = inode;
	const struct inode___plain *plain = inode;
	u64 whole, part;

	if (bpf_core_field_exists(seconds->i_ctime_sec)) {
		whole = BPF_CORE_READ(seconds, i_ctime_sec);
		part = BPF_CORE_READ(seconds, i_ctime_nsec);
	} else if (bpf_core_field_exists(hidden->__i_ctime)) {
		whole = BPF_CORE_READ(hidden, __i_ctime.tv_sec);
		part = BPF_CORE_READ(hidden, __i_ctime.tv_nsec);
	} else {
		whole = BPF_CORE_READ(plain, i_ctime.tv_sec);
		part = BPF_CORE_READ(plain, i_ctime.tv_nsec);
	}
	return whole << 30 | (part & CHANGED_NANOSECONDS_MASK);
}

/* A file of this store that was there before was opened for writing. */
__weak __noinline int store_overwrite_expect(u64 file_address, u32 store, u64 as, u64 process)
{
	struct file *file = (void *)file_address;
	struct store_open_key key = { .file = as, .process = process };
	struct store_open_file open = { .store = store };
	struct dentry___store *dentry = (void *)BPF_CORE_READ(file, f_path.dentry);
	struct inode___store *inode = BPF_CORE_READ(dentry, d_inode);

	if (BPF_CORE_READ((struct file___flags *)file, f_flags) & (OPEN_APPENDS | OPEN_CUTS))
		return 0;
	open.bytes = BPF_CORE_READ(inode, i_size);
	if (!open.bytes)
		return 0;
	open.dentry = dentry;
	open.address = inode;
	open.inode = BPF_CORE_READ(inode, i_ino);
	open.generation = BPF_CORE_READ(inode, i_generation);
	open.device = BPF_CORE_READ(inode, i_sb, s_dev);
	open.fs_magic = BPF_CORE_READ(inode, i_sb, s_magic);
	open.changed = store_changed_at(inode);
	if (bpf_map_update_elem(&store_open_files, &key, &open, BPF_NOEXIST) != 0)
		/* What another file of this address or number left behind: it failed to open. */
		bpf_map_update_elem(&store_open_files, &key, &open, BPF_ANY);
	else if (!process)
		store_open_counted(1);
	return 0;
}

/*
 * Is it the file that was opened, and changed since? After its end an inode is read for a moment
 * longer: it stays in memory for others, or is given to another file, which has another number.
 */
static __noinline bool store_was_overwritten(const struct store_open_file *open)
{
	struct inode___store *inode = open->address;

	return BPF_CORE_READ(inode, i_ino) == open->inode &&
	       BPF_CORE_READ(inode, i_generation) == open->generation &&
	       BPF_CORE_READ(inode, i_size) >= (s64)open->bytes &&
	       store_changed_at(inode) != open->changed;
}

/* False when the file counts already for the current process. */
static __noinline bool store_overwritten_first(const struct store_open_file *open)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct store_overwritten_key key = { .inode = open->inode, .device = open->device };
	u8 one = 1;

	key.start_time = task->group_leader->start_boottime;
	key.pid = task->tgid;
	return bpf_map_update_elem(&store_overwritten, &key, &one, BPF_NOEXIST) == 0;
}

/* An open file ends. */
__weak __noinline int store_closed(u64 as, u64 process)
{
	struct store_open_key key = { .file = as, .process = process };
	struct store_open_file *open;
	struct store_alteration change = { .operation = STORE_OPERATION_OVERWRITE };
	bool counts;

	open = bpf_map_lookup_elem(&store_open_files, &key);
	if (!open)
		return 0;
	change.hook = process ? STORE_HOOK_CALL : STORE_HOOK_CLOSE;
	change.dentry = (void *)open->dentry;
	change.inode = open->inode;
	change.bytes = open->bytes;
	change.device = open->device;
	change.fs_magic = open->fs_magic;
	change.store = open->store;
	counts = store_is_watched(change.store) && store_was_overwritten(open) &&
		 store_overwritten_first(open);
	if (bpf_map_delete_elem(&store_open_files, &key) == 0 && !process)
		store_open_counted(-1);
	if (!counts)
		return 0;
	store_write_note(&change);
	return 0;
}

#endif
