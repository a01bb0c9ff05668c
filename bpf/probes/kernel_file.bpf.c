// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Which files the kernel reads as modules and as firmware.
 *
 * The return of security_kernel_read_file: every such read passes it, whatever system call or
 * driver asked; and it says whether a security module refused the file, after which nothing else
 * of the load is seen. security_kernel_load_data is the same for modules that come from memory.
 *
 * Not seen: attempts of processes that may not load modules at all (CAP_SYS_MODULE), which end
 * before either.
 */
#include "calls.bpf.h"
#include "module_record.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct inode___size {
	s64 i_size;
};

#pragma clang attribute pop

/* Too large for the stack, and the scratch of the path. */
struct kernel_file_scratch {
	struct loaded_file file;
	char path[PATH_SCRATCH_BYTES];
};

/* A program does not interrupt itself on its CPU, so one is enough. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct kernel_file_scratch);
} kernel_file_scratch SEC(".maps");

static __always_inline void module_refused_by_policy(int result)
{
	struct kernel_module *record;

	record = module_record_reserve(KERNEL_MODULE_ACTION_REFUSED, true);
	if (record) {
		record->error = -result;
		record_submit(record);
	}
	loaded_file_forget(LOADED_MODULE);
}

static __always_inline void on_read(struct file *file, u32 what, int result)
{
	struct loaded_key key = { .pid_tgid = bpf_get_current_pid_tgid(), .what = what };
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct kernel_file_scratch *scratch;
	u32 zero = 0;

	if (what != LOADED_FIRMWARE && what != LOADED_MODULE)
		return;
	scratch = bpf_map_lookup_elem(&kernel_file_scratch, &zero);
	if (!scratch)
		return;
	record_zero(&scratch->file, sizeof(scratch->file));
	scratch->file.path_cut = path_read(file, scratch->path, scratch->file.path);
	scratch->file.inode = BPF_CORE_READ(inode, i_ino);
	scratch->file.device = BPF_CORE_READ(inode, i_sb, s_dev);
	scratch->file.bytes = BPF_CORE_READ((struct inode___size *)inode, i_size);
	bpf_map_update_elem(&loaded_files, &key, &scratch->file, BPF_ANY);
	if (what == LOADED_MODULE && result < 0)
		module_refused_by_policy(result);
}

static __always_inline void on_data(u32 what, int result)
{
	if (what != LOADED_MODULE)
		return;
	/* Of an earlier load of this thread. */
	loaded_file_forget(LOADED_MODULE);
	if (result < 0)
		module_refused_by_policy(result);
}

SEC("fexit/security_kernel_read_file")
int BPF_PROG(kernel_read_fexit, struct file *file, u32 what, bool contents, int result)
{
	if (file)
		on_read(file, what, result);
	return 0;
}

SEC("fexit/security_kernel_load_data")
int BPF_PROG(kernel_data_fexit, u32 what, bool contents, int result)
{
	on_data(what, result);
	return 0;
}

SEC("kprobe/security_kernel_read_file")
int BPF_KPROBE(kernel_read_kprobe, struct file *file, u32 what)
{
	struct call call = { .arguments = { (u64)file, what } };

	call_begin(CALL_KERNEL_READ, &call);
	return 0;
}

SEC("kretprobe/security_kernel_read_file")
int BPF_KRETPROBE(kernel_read_kretprobe, int result)
{
	struct call call;

	if (call_end(CALL_KERNEL_READ, &call) && call.arguments[0])
		on_read((struct file *)call.arguments[0], call.arguments[1], result);
	return 0;
}

SEC("kprobe/security_kernel_load_data")
int BPF_KPROBE(kernel_data_kprobe, u32 what)
{
	struct call call = { .arguments = { what } };

	call_begin(CALL_KERNEL_DATA, &call);
	return 0;
}

SEC("kretprobe/security_kernel_load_data")
int BPF_KRETPROBE(kernel_data_kretprobe, int result)
{
	struct call call;

	if (call_end(CALL_KERNEL_DATA, &call))
		on_data(call.arguments[0], result);
	return 0;
}
