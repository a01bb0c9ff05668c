/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Files of stores that are opened for writing. */
#ifndef VEDETTE_STORE_OPENED_BPF_H
#define VEDETTE_STORE_OPENED_BPF_H

#include "overwrite.bpf.h"

#define FILE_MODE_WRITE 2
#define FILE_MODE_CREATED 0x100000
#define INODE_TYPE_REGULAR 0100000

static __always_inline bool store_is_regular(struct inode___store *inode)
{
	return (BPF_CORE_READ(inode, i_mode) & STORE_INODE_TYPE_MASK) == INODE_TYPE_REGULAR;
}

/*
 * A file was opened for writing. An overlay opens a file of its layer for the same call. A function
 * of its own for the verifier, which is given the address as a number: pointers that the verifier
 * trusts may not be handed on. `as` and `process` are for store_closed.
 */
__weak __noinline int store_opened(u64 file_address, u64 as, u64 process)
{
	struct file *file = (void *)file_address;
	struct store_alteration change = { .hook = STORE_HOOK_OPEN };
	struct dentry___store *dentry = (void *)BPF_CORE_READ(file, f_path.dentry);

	change.store = store_of_file(file);
	if (!store_is_watched(change.store) || store_of_overlay(file_address))
		return 0;
	if (!store_is_regular(BPF_CORE_READ(dentry, d_inode)))
		return 0;
	change.file = file;
	change.operation = BPF_CORE_READ(file, f_mode) & FILE_MODE_CREATED ?
				   STORE_OPERATION_CREATE : STORE_OPERATION_MODIFY;
	store_alteration_note(&change, dentry);
	if (change.operation == STORE_OPERATION_MODIFY)
		store_overwrite_expect(file_address, change.store, as, process);
	return 0;
}

#endif
