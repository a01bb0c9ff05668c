/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Files of the GPU's surface: which they are, and whose. */
#ifndef VEDETTE_GPU_FILE_BPF_H
#define VEDETTE_GPU_FILE_BPF_H

#include "call.bpf.h"
#include "descriptor.bpf.h"

#define INODE_TYPE_MASK 0170000
#define INODE_TYPE_CHARACTER 0020000

/* Number of the character device behind an inode; 0 when it is none. */
static __always_inline u32 character_device(struct inode *inode)
{
	struct inode___device *with_device = (void *)inode;

	if ((BPF_CORE_READ(inode, i_mode) & INODE_TYPE_MASK) != INODE_TYPE_CHARACTER)
		return 0;
	return BPF_CORE_READ(with_device, i_rdev);
}

/* As character_device, of an inode that the verifier trusts. */
static __always_inline u32 character_device_direct(struct inode *inode)
{
	struct inode___device *with_device = (void *)inode;

	return (inode->i_mode & INODE_TYPE_MASK) == INODE_TYPE_CHARACTER ? with_device->i_rdev : 0;
}

/* Unified memory: the file is the address space of the process that opened it. */
static __always_inline void gpu_file_note(struct file *file, u8 family, struct task_struct *task)
{
	struct gpu_process owner = {};
	u64 key = (u64)file;

	if (family != GPU_DEVICE_FAMILY_NVIDIA_UVM && family != GPU_DEVICE_FAMILY_NVIDIA_UVM_TOOLS)
		return;
	gpu_process_of(&owner, task);
	bpf_map_update_elem(&gpu_files, &key, &owner, BPF_ANY);
}

#endif
