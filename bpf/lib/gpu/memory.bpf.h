/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What is remembered of calls to drivers of the GPU's surface, and of who makes them. */
#ifndef VEDETTE_GPU_MEMORY_BPF_H
#define VEDETTE_GPU_MEMORY_BPF_H

#include "maps.bpf.h"

/* A value is part of the key: setting another one is told at once. */
struct gpu_call_key {
	u64 start_time;
	u32 pid;
	u32 device;
	u32 escape;
	u32 command;
	u32 value;
	/* Client handle that the call aims at, or (`by_pid`) process. 0: the caller's own. */
	u32 target;
	u8 call_kind;
	u8 by_pid;
	u8 has_value;
	u8 _pad[5];
};

/* Totals, and what of them was reported. */
struct gpu_call_entry {
	/* Entries that were made before it. */
	u64 number;
	/*
	 * First call since the last report (0: none) and the latest, in jiffies: asking a clock would
	 * be a fourth of the cost of a call.
	 */
	u64 first;
	u64 latest;
	u64 count;
	u64 wrapped;
	u64 unread;
	u64 refused;
	u64 count_reported;
	u64 wrapped_reported;
	u64 unread_reported;
	u64 refused_reported;
	u64 target_start_time;
	u32 target_pid;
	u32 args_bytes;
	u32 params_bytes;
	u32 client;
	u8 family;
	u8 cap_sys_admin;
	u8 in_container;
	u8 changed_underway;
	u8 _pad[4];
	/* Only the process part is in use. */
	struct record_header who;
};

/*
 * Allocated at once. When it is full, the calls that were quiet for longest are forgotten: their
 * counts since the last report are lost, and counted (gpu_call_account). They are told as first
 * ones when they come again.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct gpu_call_key);
	__type(value, struct gpu_call_entry);
} gpu_calls __weak SEC(".maps");

/* As flow_account of flows.bpf.h, where it is explained. */
struct gpu_call_account {
	u64 made;
	u64 removed;
	u64 evicted;
	u64 session;
	u64 made_before;
	u64 seen;
	/* Different calls that were seen before the driver got them. */
	u64 asked;
	/* When the walk in progress began, and nanoseconds in a jiffy since the one before. */
	u64 walk_ns;
	u64 walk_jiffies;
	u64 jiffy_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct gpu_call_account);
} gpu_call_accounts __weak SEC(".maps");

struct gpu_process {
	u64 start_time;
	u32 pid;
	u32 _pad;
};

/*
 * Whose client handles are: handles are numbers that the driver gives out once for all processes. A
 * handle belongs to the process that was given it or, where that was not seen, that used it first.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, u32);
	__type(value, struct gpu_process);
} gpu_clients __weak SEC(".maps");

/* Objects of a client that aim at another client: debuggers and profilers. */
struct gpu_object_key {
	u32 client;
	u32 object;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct gpu_object_key);
	__type(value, u32);
} gpu_objects __weak SEC(".maps");

/* Who opened a file of unified memory: it is that process's address space on the GPU. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, u64);
	__type(value, struct gpu_process);
} gpu_files __weak SEC(".maps");

/* Processes with entries in gpu_calls; and those of them that have ended. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct gpu_process);
	__type(value, u8);
} gpu_processes __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct gpu_process);
	__type(value, u8);
} gpu_processes_ended __weak SEC(".maps");

#endif
