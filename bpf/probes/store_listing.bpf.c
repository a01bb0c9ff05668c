// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Who lists the folders of stores: what goes before a copy of all that is in them. Counted per
 * process and store; the first call is told at once.
 *
 * In iterate_dir(), where every listing passes, also that of the file server of the kernel; where
 * that cannot be seen, at the end of the system call. An overlay lists its layers, which counts for
 * each that belongs to the store.
 *
 * Not seen: who tries names without listing them, which shows as opens.
 */
#include "descriptor.bpf.h"
#include "store/actor.bpf.h"
#include "store/dentry_path.bpf.h"
#include "store/name.bpf.h"
#include "store/write_call.bpf.h"
#include "container.bpf.h"
#include "identity.bpf.h"
#include "scope.bpf.h"
#include "self.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Walks without a call after which an entry leaves. */
#define LISTINGS_QUIET 12

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct file___position {
	s64 f_pos;
};

#pragma clang attribute pop

struct store_listing_key {
	u64 start_time;
	u32 pid;
	u32 store;
};

struct store_listing_entry {
	/* What was counted since the last report, who, and one of the folders. */
	struct store_listing record;
	u64 first;
	u64 latest;
	u64 told;
	u32 quiet_walks;
	/* Removed at the next walk: nothing is counted here any more, so nothing is lost. */
	u32 leaving;
};

/* Allocated at once. When it is full, calls are told one by one. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct store_listing_key);
	__type(value, struct store_listing_entry);
} store_listings SEC(".maps");

/* One call. */
struct store_look {
	struct file *file;
	u32 store;
	/* It stands for the whole folder. */
	u32 whole;
};

/* Which folder it was. `record` has no path yet. */
static __noinline int look_show(struct store_listing *record, const struct store_look *look)
{
	struct file *file = look->file;
	struct inode___store *inode = (void *)BPF_CORE_READ(file, f_inode);

	record->inode = BPF_CORE_READ(inode, i_ino);
	record->device = BPF_CORE_READ(inode, i_sb, s_dev);
	record->fs_magic = BPF_CORE_READ(inode, i_sb, s_magic);
	record->store_id = look->store;
	record->path_cut = store_file_path(file, STORE_HOOK_LISTING, (void *)record->path);
	return 0;
}

static __noinline int look_tell(const struct store_look *look, u64 now)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct store_listing *record;

	record = record_reserve(KIND_STORE_LISTING, sizeof(*record), now, cgroup_id_of(task));
	if (!record)
		return 0;
	identity_fill(&record->header, task);
	record->in_container = task_in_container(task);
	record->calls = 1;
	record->directories = look->whole;
	record->report = FLOW_REPORT_FIRST;
	look_show(record, look);
	record_submit(record);
	return 0;
}

/* Several CPUs do this at once. */
static __noinline int look_count(struct store_listing_entry *entry,
				 const struct store_look *look, u64 now)
{
	entry->latest = now;
	if (!entry->first && __sync_val_compare_and_swap(&entry->first, 0, now) == 0) {
		__builtin_memset(entry->record.path, 0, PATH_BYTES);
		look_show(&entry->record, look);
	}
	__sync_fetch_and_add(&entry->record.directories, look->whole);
	__sync_fetch_and_add(&entry->record.calls, 1);
	return 0;
}

/* What a new entry is made of: too large for the stack. Never written. */
static const struct store_listing_entry listing_blank;

static __noinline struct store_listing_entry *listing_begin(const struct store_listing_key *key)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct store_listing_entry *entry;

	bpf_map_update_elem(&store_listings, key, &listing_blank, BPF_NOEXIST);
	entry = bpf_map_lookup_elem(&store_listings, key);
	if (!entry)
		return NULL;
	identity_fill(&entry->record.header, task);
	entry->record.in_container = task_in_container(task);
	store_actor_note();
	return entry;
}

static __noinline int look_note(const struct store_look *look)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 now = bpf_ktime_get_boot_ns();
	struct store_listing_key key = {};
	struct store_listing_entry *entry;

	if (!scope_has_current() || current_is_agent())
		return 0;
	key.start_time = task->group_leader->start_boottime;
	key.pid = task->tgid;
	key.store = look->store;
	entry = bpf_map_lookup_elem(&store_listings, &key);
	if (!entry)
		entry = listing_begin(&key);
	if (!entry || entry->leaving)
		return look_tell(look, now);
	if (__sync_fetch_and_add(&entry->told, 1) == 0)
		return look_tell(look, now);
	return look_count(entry, look, now);
}

/* `file`: a folder; of a device without stores, this is a look-up. */
static __always_inline int on_listing(struct file *file, bool whole)
{
	struct store_look look = { .file = file, .whole = whole };

	look.store = store_of_file(file);
	return look.store ? look_note(&look) : 0;
}

/* A function of its own for the verifier, as all that get an address as a number. */
__weak __noinline int store_listing_begins(u64 file_address)
{
	struct file___position *file = (void *)file_address;

	return on_listing((void *)file_address, BPF_CORE_READ(file, f_pos) == 0);
}

SEC("fentry/iterate_dir")
int BPF_PROG(store_listing_fentry, struct file *file)
{
	if (store_device_of(file->f_inode->i_sb->s_dev))
		store_listing_begins(store_number_of(file));
	return 0;
}

SEC("kprobe/iterate_dir")
int BPF_KPROBE(store_listing_kprobe, void *file)
{
	return store_listing_begins((u64)file);
}

/*
 * Where a call began is not known at its end, and the folder itself is not always what it gives
 * first: the one that gives nothing more stands for the folder.
 */
SEC("tp_btf/sys_exit")
int BPF_PROG(store_listing_sys_exit, struct pt_regs *registers, long result)
{
	struct file *file;

	if (result < 0 || CALL_IS_32_BIT(registers))
		return 0;
	if (CALL_NUMBER(registers) != CALL_GETDENTS64 && CALL_NUMBER(registers) != CALL_GETDENTS)
		return 0;
	file = file_of_descriptor(CALL_ARGUMENT_1(registers));
	if (file)
		on_listing(file, result == 0);
	return 0;
}

/* When the page is full the kernel calls again with the same entry: false. */
static __always_inline bool report_listing(struct seq_file *seq,
					   struct store_listing_entry *entry, u8 report)
{
	u64 latest = entry->latest, first = entry->first;
	struct store_listing copy;

	bpf_probe_read_kernel(&copy, sizeof(copy), &entry->record);
	record_stamp(&copy.header, KIND_STORE_LISTING, sizeof(copy), latest);
	copy.duration_ns = latest > first ? latest - first : 0;
	copy.report = report;
	if (bpf_seq_write(seq, &copy, sizeof(copy)) != 0)
		return false;
	record_count(KIND_STORE_LISTING, false);
	/* Subtracted and not set to 0: more was counted meanwhile. */
	__sync_fetch_and_add(&entry->record.directories, -copy.directories);
	__sync_fetch_and_add(&entry->record.calls, -copy.calls);
	entry->first = 0;
	return true;
}

/*
 * An entry in which nothing happened for long leaves in two steps, as in repeats.bpf.c. One of a
 * process that has ended leaves at once.
 */
SEC("iter/bpf_map_elem")
int store_listings_iter(struct bpf_iter__bpf_map_elem *ctx)
{
	struct store_listing_key key, *at = ctx->key;
	struct store_listing_entry *entry;
	bool ended;

	if (!at)
		return 0;
	key = *at;
	entry = bpf_map_lookup_elem(&store_listings, &key);
	if (!entry)
		return 0;
	ended = store_actor_ended(key.start_time, key.pid);
	entry->quiet_walks++;
	if (entry->record.calls) {
		entry->quiet_walks = 0;
		if (!report_listing(ctx->meta->seq, entry,
				    ended ? FLOW_REPORT_LAST : FLOW_REPORT_PERIODIC))
			return 0;
	}
	if (ended || entry->leaving)
		bpf_map_delete_elem(&store_listings, &key);
	else if (entry->quiet_walks >= LISTINGS_QUIET)
		entry->leaving = 1;
	return 0;
}
