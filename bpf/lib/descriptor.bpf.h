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

/*
 * From Linux 6.2 on: an address as something of a type, which is then read without a helper. Weak:
 * without it only the programs that call it are refused.
 */
extern void *bpf_rdonly_cast(const void *address, u32 type) __weak __ksym;

/* The same of a task, without a helper. */
static __always_inline struct file *file_of_task(struct task_struct *task, u32 fd)
{
	struct files_struct *files = task->files;
	struct hlist_head *place;
	struct fdtable *table;

	if (!files)
		return NULL;
	table = files->fdt;
	if (fd >= table->max_fds)
		return NULL;
	/* As any type that begins with an address. */
	place = bpf_rdonly_cast(table->fd + fd, bpf_core_type_id_kernel(struct hlist_head));
	return (void *)place->first;
}

#endif
