/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Changes of the files of stores of artifacts: the first of a process, store and operation are told
 * one by one, the rest is counted.
 */
#ifndef VEDETTE_STORE_CHANGE_BPF_H
#define VEDETTE_STORE_CHANGE_BPF_H

#include "actor.bpf.h"
#include "container.bpf.h"
#include "dentry_path.bpf.h"
#include "identity.bpf.h"
#include "scope.bpf.h"

/* Told one by one in an interval, which is from one walk of the iterator to the next. */
#define STORE_WRITES_TOLD 16
/* Walks without a change after which an entry leaves. */
#define STORE_WRITES_QUIET 12

/* Stores of artifacts, by number: of them changes are watched. Filled by the agent. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, u8);
} store_artifacts __weak SEC(".maps");

struct store_write_key {
	u64 start_time;
	u32 pid;
	u32 store;
	u32 operation;
	u32 _pad;
};

struct store_write_entry {
	/* What was counted since the last report: count, bytes, who, and the path of one of them. */
	struct store_write record;
	u64 first;
	u64 latest;
	/* In this interval. */
	u64 told;
	u32 quiet_walks;
	/* Removed at the next walk: nothing is counted here any more, so nothing is lost. */
	u32 leaving;
};

/* Allocated at once. When it is full, changes are told one by one. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct store_write_key);
	__type(value, struct store_write_entry);
} store_writes __weak SEC(".maps");

/* One change. */
struct store_alteration {
	/* The file by its name; of a rename and a link by the new one. */
	struct dentry *dentry;
	/* By its old name; NULL: there is none. */
	struct dentry *old_dentry;
	/* Instead of them the open file, or paths in memory of the kernel; or NULL. */
	struct file *file;
	const char *path;
	const char *old_path;
	u64 inode;
	u64 bytes;
	u32 device;
	u32 fs_magic;
	u32 store;
	u8 operation;
	u8 hook;
	u8 _pad[2];
};

static __always_inline bool store_is_watched(u32 store)
{
	return store && bpf_map_lookup_elem(&store_artifacts, &store);
}

/* What is the same of one change and of several. `record` has no paths yet. */
static __noinline int store_write_show(struct store_write *record,
				       const struct store_alteration *change)
{
	struct path_text *path = (void *)record->path, *old_path = (void *)record->old_path;
	u32 cut = 0;

	record->inode = change->inode;
	record->device = change->device;
	record->fs_magic = change->fs_magic;
	record->store_id = change->store;
	record->operation = change->operation;
	if (change->path)
		bpf_probe_read_kernel_str(path->text, PATH_BYTES, change->path);
	else if (change->file)
		cut = store_file_path(change->file, change->hook, path);
	else
		cut = store_dentry_path(change->dentry, change->hook, path);
	if (change->old_path)
		bpf_probe_read_kernel_str(old_path->text, PATH_BYTES, change->old_path);
	else if (change->old_dentry)
		cut |= store_dentry_path(change->old_dentry, change->hook, old_path);
	record->path_cut = cut;
	return 0;
}

/* Apart from the rest for the sake of the stack. */
static __noinline int store_write_tell(const struct store_alteration *change, u64 now)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct store_write *record;

	record = record_reserve(KIND_STORE_WRITE, sizeof(*record), now, cgroup_id_of(task));
	if (!record)
		return 0;
	identity_fill(&record->header, task);
	record->in_container = task_in_container(task);
	record->count = 1;
	record->bytes = change->bytes;
	record->report = FLOW_REPORT_FIRST;
	store_write_show(record, change);
	record_submit(record);
	return 0;
}

/* Several CPUs do this at once. */
static __noinline int store_write_count(struct store_write_entry *entry,
					const struct store_alteration *change, u64 now)
{
	entry->latest = now;
	/* Of those that are counted, the first one is shown. */
	if (!entry->first && __sync_val_compare_and_swap(&entry->first, 0, now) == 0) {
		__builtin_memset(entry->record.path, 0, PATH_BYTES);
		__builtin_memset(entry->record.old_path, 0, PATH_BYTES);
		store_write_show(&entry->record, change);
	}
	__sync_fetch_and_add(&entry->record.bytes, change->bytes);
	__sync_fetch_and_add(&entry->record.count, 1);
	return 0;
}

/* What a new entry is made of: too large for the stack. Never written. */
static const struct store_write_entry store_write_blank;

static __noinline struct store_write_entry *store_write_begin(const struct store_write_key *key)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct store_write_entry *entry;

	bpf_map_update_elem(&store_writes, key, &store_write_blank, BPF_NOEXIST);
	entry = bpf_map_lookup_elem(&store_writes, key);
	if (!entry)
		return NULL;
	identity_fill(&entry->record.header, task);
	entry->record.in_container = task_in_container(task);
	store_actor_note();
	return entry;
}

/* A change by the current process of a store of artifacts, in its scope: tells or counts it. */
static __noinline int store_write_note(const struct store_alteration *change)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 now = bpf_ktime_get_boot_ns();
	struct store_write_key key = {};
	struct store_write_entry *entry;

	if (!scope_has_current())
		return 0;
	key.start_time = task->group_leader->start_boottime;
	key.pid = task->tgid;
	key.store = change->store;
	key.operation = change->operation;
	entry = bpf_map_lookup_elem(&store_writes, &key);
	if (!entry)
		entry = store_write_begin(&key);
	if (!entry || entry->leaving)
		return store_write_tell(change, now);
	if (__sync_fetch_and_add(&entry->told, 1) < STORE_WRITES_TOLD)
		return store_write_tell(change, now);
	return store_write_count(entry, change, now);
}

/* The same, of the file of this name, which may not be there yet. */
static __always_inline void store_alteration_note(struct store_alteration *change,
					      struct dentry___store *file)
{
	struct inode___store *inode = BPF_CORE_READ(file, d_inode);

	if (!store_is_watched(change->store))
		return;
	if (inode)
		change->inode = BPF_CORE_READ(inode, i_ino);
	change->device = BPF_CORE_READ(file, d_sb, s_dev);
	change->fs_magic = BPF_CORE_READ(file, d_sb, s_magic);
	store_write_note(change);
}

#endif
