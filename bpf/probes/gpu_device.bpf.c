// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Who opens the devices of the GPU's surface, and who maps them.
 *
 * security_file_open is the one function behind open(), openat2(), io_uring and file handles. Where
 * it cannot be watched, the files that are open are looked through from time to time.
 *
 * The first time that a process opens a device is told at once, later ones are counted as calls.
 *
 * Not seen: who uses a descriptor that another process passed on, until it calls the driver.
 */
#include "gpu/file.bpf.h"
#include "path.bpf.h"
#include "scope.bpf.h"
#include "self.bpf.h"
#include "told.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct told_key);
	__type(value, u64);
} gpu_devices_told SEC(".maps");

/* For the path. A program does not interrupt itself on its CPU, so one is enough. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, char[PATH_SCRATCH_BYTES]);
} gpu_device_scratch SEC(".maps");

/* A device of the surface, as a file. */
struct gpu_file {
	struct file *file;
	struct inode *inode;
	u32 device;
	u8 family;
	u8 at_start;
};

/* False: told before. Apart from the rest for the sake of the stack. */
static __noinline bool tell_open(const struct gpu_file *opened, struct task_struct *task)
{
	struct file___flags *with_flags = (void *)opened->file;
	struct inode *inode = opened->inode;
	struct gpu_device_open *record;
	struct told_key key = {};
	u32 zero = 0;
	char *scratch;
	u64 now;

	key.start_time = BPF_CORE_READ(task, group_leader, start_boottime);
	key.pid = BPF_CORE_READ(task, tgid);
	key.device = opened->device;
	/* The BARs of all GPUs are in one file system. */
	if (opened->family == GPU_DEVICE_FAMILY_PCI_RESOURCE)
		key.object = BPF_CORE_READ(inode, i_ino);
	now = bpf_ktime_get_boot_ns();
	scratch = bpf_map_lookup_elem(&gpu_device_scratch, &zero);
	if (!scratch || !told_first(&gpu_devices_told, &key, now, 0))
		return false;
	record = record_reserve(KIND_GPU_DEVICE_OPEN, sizeof(*record), now,
				BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id));
	if (!record)
		return true;
	identity_read(&record->header, task);
	record->path_cut = path_read(opened->file, scratch, record->path);
	record->inode = BPF_CORE_READ(inode, i_ino);
	record->device = opened->device;
	record->open_flags = BPF_CORE_READ(with_flags, f_flags);
	record->file_mode = BPF_CORE_READ(inode, i_mode) & ~INODE_TYPE_MASK;
	record->family = opened->family;
	record->cap_sys_admin = has_sys_admin(task);
	record->in_container = task_in_container(task);
	record->at_start = opened->at_start;
	record_submit(record);
	return true;
}

/* `rdev` is the number of the character device; 0 when it is none. */
static __always_inline void on_file(struct file *file, struct inode *inode, u32 rdev,
				    bool in_sysfs, u8 call_kind)
{
	struct gpu_file opened = { .file = file, .inode = inode };
	struct gpu_request request = { .call_kind = call_kind };
	struct task_struct *task;

	opened.family = gpu_family_of_file(file, inode, rdev, in_sysfs, &opened.device);
	if (!opened.family || !scope_has_current() || current_is_agent())
		return;
	task = bpf_get_current_task_btf();
	if (call_kind == GPU_CALL_KIND_OPEN) {
		gpu_file_note(file, opened.family, task);
		if (tell_open(&opened, task))
			return;
	}
	request.device = opened.device;
	request.family = opened.family;
	gpu_call_note(&request);
}

SEC("fentry/security_file_open")
int BPF_PROG(gpu_open_fentry, struct file *file)
{
	struct inode *inode = file->f_inode;

	on_file(file, inode, character_device_direct(inode),
		inode->i_sb->s_magic == SYSFS_MAGIC, GPU_CALL_KIND_OPEN);
	return 0;
}

SEC("fentry/security_mmap_file")
int BPF_PROG(gpu_mmap_fentry, struct file *file)
{
	struct inode *inode;

	if (!file)
		return 0;
	inode = file->f_inode;
	on_file(file, inode, character_device_direct(inode),
		inode->i_sb->s_magic == SYSFS_MAGIC, GPU_CALL_KIND_MMAP);
	return 0;
}

SEC("kprobe/security_file_open")
int BPF_KPROBE(gpu_open_kprobe, struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);

	on_file(file, inode, character_device(inode),
		BPF_CORE_READ(inode, i_sb, s_magic) == SYSFS_MAGIC, GPU_CALL_KIND_OPEN);
	return 0;
}

SEC("kprobe/security_mmap_file")
int BPF_KPROBE(gpu_mmap_kprobe, struct file *file)
{
	struct inode *inode;

	if (!file)
		return 0;
	inode = BPF_CORE_READ(file, f_inode);
	on_file(file, inode, character_device(inode),
		BPF_CORE_READ(inode, i_sb, s_magic) == SYSFS_MAGIC, GPU_CALL_KIND_MMAP);
	return 0;
}

/* What a process holds open. */
static __always_inline void on_held(struct bpf_iter__task_file *ctx, u8 at_start)
{
	struct gpu_file opened = { .at_start = at_start };
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct inode *inode;
	u64 key = (u64)file;

	agent_is_current();
	if (!task || !file || task->tgid == agent_tgid)
		return;
	inode = file->f_inode;
	opened.file = file;
	opened.inode = inode;
	opened.family = gpu_family_of_file(file, inode, character_device_direct(inode),
					   inode->i_sb->s_magic == SYSFS_MAGIC, &opened.device);
	if (!opened.family || !scope_has_cgroup(task->cgroups->dfl_cgrp))
		return;
	/* By whoever holds it; who opened it is known if we were there. */
	if (!bpf_map_lookup_elem(&gpu_files, &key))
		gpu_file_note(file, opened.family, task);
	tell_open(&opened, task);
}

/* Once, at the start. */
SEC("iter/task_file")
int gpu_devices_at_start(struct bpf_iter__task_file *ctx)
{
	on_held(ctx, 1);
	return 0;
}

/* From time to time, where nothing sees them being opened. */
SEC("iter/task_file")
int gpu_devices_held(struct bpf_iter__task_file *ctx)
{
	on_held(ctx, 0);
	return 0;
}
