/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* From a descriptor to its file. */
#ifndef VEDETTE_DESCRIPTOR_BPF_H
#define VEDETTE_DESCRIPTOR_BPF_H

#include "kernel.bpf.h"

/* The file of a descriptor of the current process; NULL when there is none. */
static __always_inline struct file *file_of_descriptor(u32 fd)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct files_struct *files = task->files;
	struct fdtable *table;
	struct file *file = NULL;

	if (!files)
		return NULL;
	table = files->fdt;
	if (fd >= table->max_fds)
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), table->fd + fd);
	return file;
}

#endif
