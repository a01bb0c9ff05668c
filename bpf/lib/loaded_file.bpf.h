/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The file that the kernel reads for itself: a module or firmware. Its probe notes it per thread
 * (kernel_file.bpf.c), since those that tell of the load do not see the file.
 */
#ifndef VEDETTE_LOADED_FILE_BPF_H
#define VEDETTE_LOADED_FILE_BPF_H

#include "maps.bpf.h"
#include "path.bpf.h"

/* enum kernel_read_file_id and kernel_load_data_id of the kernel: both count alike since 5.10. */
#define LOADED_FIRMWARE 1
#define LOADED_MODULE 2

struct loaded_key {
	u64 pid_tgid;
	u64 what;
};

struct loaded_file {
	u64 inode;
	u64 bytes;
	u32 device;
	u32 path_cut;
	char path[PATH_BYTES];
};

/*
 * LRU: an entry is taken away when its load ends, and stays when nobody sees that end. With more
 * loads at once than entries some are told without their file.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 256);
	__type(key, struct loaded_key);
	__type(value, struct loaded_file);
} loaded_files __weak SEC(".maps");

static __always_inline struct loaded_file *loaded_file_find(u64 what)
{
	struct loaded_key key = { .pid_tgid = bpf_get_current_pid_tgid(), .what = what };

	return bpf_map_lookup_elem(&loaded_files, &key);
}

static __always_inline void loaded_file_forget(u64 what)
{
	struct loaded_key key = { .pid_tgid = bpf_get_current_pid_tgid(), .what = what };

	bpf_map_delete_elem(&loaded_files, &key);
}

#endif
