/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What every record of a kernel module says beside the module itself. */
#ifndef VEDETTE_MODULE_RECORD_BPF_H
#define VEDETTE_MODULE_RECORD_BPF_H

#include "container.bpf.h"
#include "identity.bpf.h"
#include "loaded_file.bpf.h"
#include "record.bpf.h"
#include "scope.bpf.h"

/* A record with the process, and with the file when the thread is loading one. NULL: no room. */
static __always_inline struct kernel_module *module_record_reserve(u8 action, bool with_file)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct kernel_module *record;
	struct loaded_file *file;

	if (!scope_has_current())
		return NULL;
	record = record_reserve(KIND_KERNEL_MODULE, sizeof(*record), bpf_ktime_get_boot_ns(),
				cgroup_id_of(task));
	if (!record)
		return NULL;
	identity_fill(&record->header, task);
	record->action = action;
	record->in_container = task_in_container(task);
	file = with_file ? loaded_file_find(LOADED_MODULE) : NULL;
	if (file) {
		_Static_assert(sizeof(record->path) == PATH_BYTES, "path holds a path");
		__builtin_memcpy(record->path, file->path, PATH_BYTES);
		record->inode = file->inode;
		record->file_bytes = file->bytes;
		record->device = file->device;
		record->path_cut = file->path_cut;
	}
	return record;
}

#endif
