/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What is remembered of reads of stores, per process, store and mechanism. */
#ifndef VEDETTE_STORE_READ_MEMORY_BPF_H
#define VEDETTE_STORE_READ_MEMORY_BPF_H

#include "identity.bpf.h"
#include "path.bpf.h"
#include "record.bpf.h"
#include "written.bpf.h"

/* Registers of the sketch of distinct files (HyperLogLog): standard error 1.6%. */
#define STORE_REGISTERS_BITS 12
#define STORE_REGISTERS (1 << STORE_REGISTERS_BITS)
#define STORE_RANK_MAX 32
/* State of the sketch: registers at zero, and the sum of 2^(32 - register). */
#define STORE_SKETCH_ZEROS 48
#define STORE_SKETCH_NEW                                                                           \
	((u64)STORE_REGISTERS << STORE_SKETCH_ZEROS | (u64)STORE_REGISTERS << STORE_RANK_MAX)
/* Files of which it is remembered where the last read ended. */
#define STORE_OFFSETS 32

struct store_read_key {
	u64 start_time;
	u32 pid;
	u32 store;
	/* Process whose memory was read; 0: none. */
	u32 owner_pid;
	u8 mechanism;
	u8 _pad[3];
};

/* The last read of a file. */
struct store_offset {
	u64 file;
	u64 start;
	u64 end;
};

/* What was told of an entry. */
enum store_told {
	STORE_TOLD_NOTHING,
	/* Somebody tells the first read just now. */
	STORE_TOLD_NOW,
	STORE_TOLD,
};

/* Totals, and what of them was reported. */
struct store_read_entry {
	/* Entries that were made before it. */
	u64 number;
	/*
	 * First read since the last report (0: none) and the latest, in jiffies: asking a clock would
	 * be a fourth of the cost of a read.
	 */
	u64 first;
	u64 latest;
	u64 bytes;
	u64 sequential;
	u64 calls;
	u64 opens;
	u64 bytes_reported;
	u64 sequential_reported;
	u64 calls_reported;
	u64 opens_reported;
	/* State of the sketch, and the file that was read last. */
	u64 files;
	u64 file;
	/* Of the file of the path. */
	u64 inode;
	u64 owner_start_time;
	/* First thread of the process, which may have ended. */
	u64 leader;
	/* What the process had written before, and what of the rest was reported. */
	u64 written_before;
	u64 written_reported;
	/* Of enum store_told. */
	u64 told;
	u32 device;
	u32 fs_magic;
	u8 path_cut;
	u8 in_container;
	/* Complete: walks pass over it until then. */
	u8 made;
	/* The path is that of a pickle. */
	u8 shows_pickle;
	u8 _pad[4];
	/* Only the process part is in use. */
	struct record_header who;
	char path[PATH_BYTES];
	struct store_offset offsets[STORE_OFFSETS];
	u8 registers[STORE_REGISTERS];
};

/*
 * Allocated at once. When it is full, the readers that were quiet for longest are forgotten: their
 * amounts since the last report are lost, and counted (store_read_account).
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2048);
	__type(key, struct store_read_key);
	__type(value, struct store_read_entry);
} store_reads __weak SEC(".maps");

/* As flow_account of flows.bpf.h, where it is explained. */
struct store_read_account {
	u64 made;
	u64 removed;
	u64 evicted;
	u64 session;
	u64 made_before;
	u64 seen;
	/* When the walk in progress began, and nanoseconds in a jiffy since the one before. */
	u64 walk_ns;
	u64 walk_jiffies;
	u64 jiffy_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct store_read_account);
} store_read_accounts __weak SEC(".maps");

struct store_process_key {
	u64 start_time;
	u32 pid;
	u32 _pad;
};

struct store_process {
	/* The store that it began to read last. */
	u32 store;
	/* The process has ended. */
	u8 ended;
	u8 _pad[3];
	/* When it has, what it wrote. */
	u64 written;
};

/* Processes that read stores. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct store_process_key);
	__type(value, struct store_process);
} store_processes __weak SEC(".maps");

/* When the process of a number began, of those that read stores. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, u32);
	__type(value, u64);
} store_process_starts __weak SEC(".maps");

/*
 * For paths, and for the records of the iterator. The kernel lets no program interrupt itself on
 * its CPU; but where it takes the CPU away inside of one (PREEMPT), another one of ours may run.
 */
struct store_scratch {
	char path[PATH_SCRATCH_BYTES];
	/* Programs that make, or wanted to make, a path here. */
	u64 users;
	struct store_read record;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct store_scratch);
} store_scratches __weak SEC(".maps");

static __always_inline struct store_read_account *store_read_account(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&store_read_accounts, &zero);
}

static __always_inline struct store_scratch *store_scratch(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&store_scratches, &zero);
}

/* `record` is zeroed. Amounts are those since the last report; written was nothing so far. */
static __always_inline void store_read_fill(struct store_read *record,
					    const struct store_read_key *key,
					    const struct store_read_entry *entry, u64 jiffy_ns,
					    u8 report)
{
	identity_copy(&record->header, &entry->who);
	__builtin_memcpy(record->path, entry->path, sizeof(record->path));
	record->bytes = entry->bytes - entry->bytes_reported;
	record->bytes_sequential = entry->sequential - entry->sequential_reported;
	record->calls = entry->calls - entry->calls_reported;
	record->opens = entry->opens - entry->opens_reported;
	record->files_distinct = entry->files;
	if (entry->first && entry->latest > entry->first)
		record->duration_ns = (entry->latest - entry->first) * jiffy_ns;
	record->inode = entry->inode;
	record->owner_start_time = entry->owner_start_time;
	record->owner_pid = key->owner_pid;
	record->device = entry->device;
	record->fs_magic = entry->fs_magic;
	record->store_id = key->store;
	record->mechanism = key->mechanism;
	record->report = report;
	record->path_cut = entry->path_cut;
	record->in_container = entry->in_container;
	record->process_written_known = entry->written_before != STORE_WRITTEN_UNKNOWN;
}

/* What a record told belongs to no other one. */
static __always_inline void store_read_reported(struct store_read_entry *entry,
						const struct store_read *record)
{
	__sync_fetch_and_add(&entry->bytes_reported, record->bytes);
	__sync_fetch_and_add(&entry->sequential_reported, record->bytes_sequential);
	__sync_fetch_and_add(&entry->calls_reported, record->calls);
	__sync_fetch_and_add(&entry->opens_reported, record->opens);
	entry->first = 0;
	entry->shows_pickle = 0;
}

#endif
