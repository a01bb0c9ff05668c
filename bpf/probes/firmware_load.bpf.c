// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Firmware that drivers ask the kernel for, and the file that they got.
 *
 * _request_firmware is behind every way to ask; it has more arguments than a trampoline of 6.1 can
 * hand on, so that a kprobe is better here. The functions in front of it are the second choice.
 * The file is what kernel_file.bpf.c noted in the same thread: with compression it is the
 * compressed one. No file and no error: it was built into the kernel, or still in memory.
 *
 * NVIDIA's driver asks for nvidia/VERSION/gsp_*.bin when a GPU is opened for the first time, in the
 * thread that opens it (NVIDIA open-gpu-kernel-modules, nv_get_firmware).
 */
#include "calls.bpf.h"
#include "identity.bpf.h"
#include "loaded_file.bpf.h"
#include "record.bpf.h"
#include "scope.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kobject {
	const char *name;
};

struct device {
	struct kobject kobj;
	const char *init_name;
};

#pragma clang attribute pop

/* As dev_name() of the kernel. */
static __always_inline void device_name_read(char *to, u32 bytes, struct device *device)
{
	const char *name = BPF_CORE_READ(device, init_name);

	if (!name)
		name = BPF_CORE_READ(device, kobj.name);
	bpf_probe_read_kernel_str(to, bytes, name);
}

static __always_inline void on_firmware(const char *name, struct device *device, int result)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct firmware_load *record;
	struct loaded_file *file;

	if (!scope_has_current())
		goto forget;
	record = record_reserve(KIND_FIRMWARE_LOAD, sizeof(*record), bpf_ktime_get_boot_ns(),
				cgroup_id_of(task));
	if (!record)
		goto forget;
	identity_fill(&record->header, task);
	bpf_probe_read_kernel_str(record->firmware, sizeof(record->firmware), name);
	device_name_read(record->device_name, sizeof(record->device_name), device);
	if (result < 0)
		record->error = -result;
	file = loaded_file_find(LOADED_FIRMWARE);
	if (file) {
		_Static_assert(sizeof(record->path) == PATH_BYTES, "path holds a path");
		__builtin_memcpy(record->path, file->path, PATH_BYTES);
		record->inode = file->inode;
		record->file_bytes = file->bytes;
		record->device = file->device;
		record->path_cut = file->path_cut;
	}
	record_submit(record);
forget:
	loaded_file_forget(LOADED_FIRMWARE);
}

SEC("kprobe/_request_firmware")
int BPF_KPROBE(firmware_kprobe, void *firmware, const char *name, struct device *device)
{
	struct call call = { .arguments = { (u64)name, (u64)device } };

	call_begin(CALL_REQUEST_FIRMWARE, &call);
	return 0;
}

SEC("kretprobe/_request_firmware")
int BPF_KRETPROBE(firmware_kretprobe, int result)
{
	struct call call;

	if (call_end(CALL_REQUEST_FIRMWARE, &call))
		on_firmware((const char *)call.arguments[0], (struct device *)call.arguments[1],
			    result);
	return 0;
}

SEC("fexit/request_firmware")
int BPF_PROG(firmware_fexit, void *firmware, const char *name, struct device *device, int result)
{
	on_firmware(name, device, result);
	return 0;
}

SEC("fexit/firmware_request_nowarn")
int BPF_PROG(firmware_nowarn_fexit, void *firmware, const char *name, struct device *device,
	     int result)
{
	on_firmware(name, device, result);
	return 0;
}

SEC("fexit/request_firmware_direct")
int BPF_PROG(firmware_direct_fexit, void *firmware, const char *name, struct device *device,
	     int result)
{
	on_firmware(name, device, result);
	return 0;
}
