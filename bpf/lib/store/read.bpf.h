/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Reads of stores, counted per process, store and mechanism. */
#ifndef VEDETTE_STORE_READ_BPF_H
#define VEDETTE_STORE_READ_BPF_H

#include "container.bpf.h"
#include "known.bpf.h"
#include "pickle.bpf.h"
#include "read_memory.bpf.h"
#include "scope.bpf.h"
#include "self.bpf.h"

/* One read. */
struct store_access {
	/* NULL: only the inode is known, and of memory not even that. */
	struct file *file;
	struct inode *inode;
	u64 offset;
	u64 bytes;
	/* Process whose memory was read. */
	u64 owner_start_time;
	u32 owner_pid;
	u32 store;
	u8 mechanism;
	/* The file was opened, not read. */
	u8 opened;
	/* What the last read of the file by this process gave does not count again. */
	u8 once;
	u8 _pad[5];
};

/* Tells the first read. Apart from the rest for the sake of the stack, as what follows. */
static __noinline int store_read_tell(const struct store_read_key *key,
				      struct store_read_entry *entry)
{
	u64 now = bpf_ktime_get_boot_ns();
	struct store_read *record;

	record = record_reserve(KIND_STORE_READ, sizeof(*record), now, entry->who.cgroup_id);
	if (record) {
		store_read_fill(record, key, entry, 0, FLOW_REPORT_FIRST);
		store_read_reported(entry, record);
		record_submit(record);
	}
	entry->told = STORE_TOLD;
	return 0;
}

static __always_inline bool store_path_of(const struct store_access *access,
					  struct inode___store *inode, char *scratch, char *out)
{
	struct hlist_node *node;

	if (access->file)
		return path_read(access->file, scratch, out);
	node = BPF_CORE_READ(inode, i_dentry.first);
	if (!node)
		return false;
	return path_read_below(
		(void *)node - bpf_core_field_offset(struct dentry___store, d_u.d_alias), scratch, out);
}

/* The file that a report shows, of all that it speaks of. */
static __noinline int store_read_show(struct store_read_entry *entry,
				      const struct store_access *access)
{
	struct inode___store *inode = (void *)access->inode;
	struct store_scratch *scratch = store_scratch();

	if (!scratch || !inode)
		return 0;
	entry->inode = BPF_CORE_READ(inode, i_ino);
	entry->device = BPF_CORE_READ(inode, i_sb, s_dev);
	entry->fs_magic = BPF_CORE_READ(inode, i_sb, s_magic);
	__builtin_memset(entry->path, 0, sizeof(entry->path));
	if (__sync_fetch_and_add(&scratch->users, 1) == 0)
		entry->path_cut = store_path_of(access, inode, scratch->path, entry->path);
	else
		fault_count(FAULT_STORE_PATH_BUSY);
	__sync_fetch_and_add(&scratch->users, -1);
	return 0;
}

/* Position of the lowest bit that is set, from 1 on. */
static __always_inline u32 store_rank(u32 bits)
{
	u32 rank = 1;

	if (!(bits & 0xffff)) {
		rank += 16;
		bits >>= 16;
	}
	if (!(bits & 0xff)) {
		rank += 8;
		bits >>= 8;
	}
	if (!(bits & 0xf)) {
		rank += 4;
		bits >>= 4;
	}
	if (!(bits & 3)) {
		rank += 2;
		bits >>= 2;
	}
	return rank + !(bits & 1);
}

/* Numbers of inodes follow one another: every bit of the result depends on every one of them. */
static __always_inline u64 store_mix(u64 value)
{
	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
	value = (value ^ value >> 27) * 0x94d049bb133111ebull;
	return value ^ value >> 31;
}

/* One file more that was read; one that was read before changes nothing. */
static __noinline int store_read_sketch(struct store_read_entry *entry, u64 file)
{
	u64 hash = store_mix(file + 0x9e3779b97f4a7c15ull);
	u8 *at = &entry->registers[hash & (STORE_REGISTERS - 1)];
	u32 rank = store_rank(hash >> STORE_REGISTERS_BITS), before = *at;
	u64 less;

	if (rank <= before)
		return 0;
	*at = rank;
	less = (1ull << (STORE_RANK_MAX - (before & 31))) - (1ull << (STORE_RANK_MAX - rank));
	if (!before)
		less += 1ull << STORE_SKETCH_ZEROS;
	__sync_fetch_and_add(&entry->files, -less);
	return 0;
}

/*
 * What of a read `once` was not counted yet: it may overlap what was read before, which then
 * becomes one with it.
 */
static __always_inline u64 store_read_new(struct store_offset *last, u64 file, u64 start, u64 end)
{
	if (last->file != file || start > last->end || end < last->start) {
		last->file = file;
		last->start = start;
		last->end = end;
		return end - start;
	}
	if (start < last->start) {
		end = last->start;
		last->start = start;
		return end - start;
	}
	if (end <= last->end)
		return 0;
	start = last->end;
	last->end = end;
	return end - start;
}

/* One read more. Several CPUs do this at once. `file` 0: memory of a process. */
static __always_inline void store_read_add(struct store_read_entry *entry, u64 file, u64 start,
					   u64 bytes, bool once)
{
	struct store_offset *last = &entry->offsets[file & (STORE_OFFSETS - 1)];
	bool sequential = !start || (last->end == start && last->file == file);
	u64 now = bpf_jiffies64();

	if (once) {
		bytes = store_read_new(last, file, start, start + bytes);
		if (!bytes)
			return;
	}
	/* Written only when it changes: others count on this cache line, too. */
	if (entry->latest != now)
		entry->latest = now;
	__sync_fetch_and_add(&entry->bytes, bytes);
	__sync_fetch_and_add(&entry->calls, 1);
	if (!file)
		return;
	if (sequential)
		__sync_fetch_and_add(&entry->sequential, bytes);
	if (!once) {
		last->file = file;
		last->end = start + bytes;
	}
	if (entry->file != file) {
		entry->file = file;
		store_read_sketch(entry, file);
	}
}

/* What a new entry is made of: too large for the stack. Never written. */
static const struct store_read_entry store_read_blank = { .files = STORE_SKETCH_NEW };

static __always_inline void store_process_note(struct task_struct *task, u32 store)
{
	struct store_process_key key = {};
	struct store_process process = { .store = store };

	key.start_time = task->group_leader->start_boottime;
	key.pid = task->tgid;
	bpf_map_update_elem(&store_processes, &key, &process, BPF_ANY);
	bpf_map_update_elem(&store_process_starts, &key.pid, &key.start_time, BPF_ANY);
}

/* A reader that was not known: remembered. */
static __noinline int store_read_begin(const struct store_read_key *key,
				       const struct store_access *access)
{
	struct store_read_account *account = store_read_account();
	struct task_struct *task = bpf_get_current_task_btf();
	struct store_read_entry *entry;
	map_status status;
	u64 number = 0;

	if (account)
		number = __sync_fetch_and_add(&account->made, 1);
	status = bpf_map_update_elem(&store_reads, key, &store_read_blank, BPF_NOEXIST);
	if (status != 0 && account)
		__sync_fetch_and_add(&account->removed, 1);
	if (status != 0)
		return 0;
	entry = bpf_map_lookup_elem(&store_reads, key);
	if (!entry)
		return 0;
	identity_fill(&entry->who, task);
	entry->number = number;
	entry->in_container = task_in_container(task);
	entry->owner_start_time = access->owner_start_time;
	entry->leader = (u64)BPF_CORE_READ(task, group_leader);
	entry->written_before = store_written_by(entry->leader);
	entry->made = 1;
	store_process_note(task, access->store);
	return 0;
}

/* One file for the whole machine: inode numbers are unique in a device only. */
static __always_inline u64 store_file_number(struct inode *inode)
{
	u64 device;

	if (!inode)
		return 0;
	device = BPF_CORE_READ(inode, i_sb, s_dev);
	return BPF_CORE_READ(inode, i_ino) ^ device << 32;
}

/* Counts a read of the current process of a file that belongs to a store. */
__weak __noinline int store_read_note(const struct store_access *access)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct store_read_key key = {};
	struct store_read_entry *entry;

	if (!access || (task->flags & TASK_FLAG_KERNEL_THREAD))
		return 0;
	if (!scope_has_current() || current_is_agent())
		return 0;
	key.start_time = task->group_leader->start_boottime;
	key.pid = task->tgid;
	key.store = access->store;
	key.owner_pid = access->owner_pid;
	key.mechanism = access->mechanism;
	entry = bpf_map_lookup_elem(&store_reads, &key);
	if (!entry) {
		store_read_begin(&key, access);
		entry = bpf_map_lookup_elem(&store_reads, &key);
	}
	if (!entry) {
		fault_count(FAULT_STORE_READS_FULL);
		return 0;
	}
	if (access->opened) {
		if (!entry->shows_pickle && store_is_pickle((u64)access->file)) {
			entry->shows_pickle = 1;
			store_read_show(entry, access);
		} else if (!entry->inode) {
			store_read_show(entry, access);
		}
		__sync_fetch_and_add(&entry->opens, 1);
		return 0;
	}
	if (!entry->first &&
	    __sync_val_compare_and_swap(&entry->first, 0, bpf_jiffies64()) == 0 &&
	    !entry->shows_pickle)
		store_read_show(entry, access);
	store_read_add(entry, store_file_number(access->inode), access->offset, access->bytes,
		       access->once);
	if (entry->told == STORE_TOLD_NOTHING &&
	    __sync_val_compare_and_swap(&entry->told, STORE_TOLD_NOTHING, STORE_TOLD_NOW) ==
		    STORE_TOLD_NOTHING)
		store_read_tell(&key, entry);
	return 0;
}

/* As store_read_note, of a file that may belong to none: `access` is complete but for the store. */
__weak __noinline int store_read_file(struct store_access *access)
{
	struct file *file;

	if (!access)
		return 0;
	file = access->file;
	access->store = store_of_file(file);
	if (!access->store)
		return 0;
	access->inode = BPF_CORE_READ(file, f_inode);
	return store_read_note(access);
}

/*
 * A read by the current task of a file of a store, which the verifier trusts: counted at once when
 * the reader is known and something was told of it since the last report, as nearly always.
 * Otherwise false.
 */
static __always_inline bool store_read_known(struct task_struct *task, u32 store, struct file *file,
					     u64 offset, u64 bytes, u8 mechanism)
{
	struct inode *inode = file->f_inode;
	struct store_read_entry *entry;
	struct store_read_key key = {};
	u64 device;

	if ((task->flags & TASK_FLAG_KERNEL_THREAD) || !scope_has_current() ||
	    task->tgid == agent_tgid)
		return true;
	key.start_time = task->group_leader->start_boottime;
	key.pid = task->tgid;
	key.store = store;
	key.mechanism = mechanism;
	entry = bpf_map_lookup_elem(&store_reads, &key);
	if (!entry || !entry->first || entry->told != STORE_TOLD)
		return false;
	device = inode->i_sb->s_dev;
	store_read_add(entry, inode->i_ino ^ device << 32, offset, bytes, false);
	return true;
}

/* Both: false when file or reader have to be looked for. */
static __always_inline bool store_read_fast(struct file *file, u64 offset, u64 bytes, u8 mechanism)
{
	u32 store;

	if (!store_known(file, &store))
		return false;
	return !store || store_read_known(bpf_get_current_task_btf(), store, file, offset, bytes,
					  mechanism);
}

#endif
