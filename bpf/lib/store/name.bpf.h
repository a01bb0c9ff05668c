/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The stores of names of files, and of files that get another one. */
#ifndef VEDETTE_STORE_NAME_BPF_H
#define VEDETTE_STORE_NAME_BPF_H

#include "label.bpf.h"

/* The number that is at `value`: of a pointer one that can be handed on. */
__weak __noinline u64 store_number_at(const u64 *value)
{
	return value ? *value : 0;
}

static __always_inline u64 store_number_of(const void *pointer)
{
	return store_number_at((const u64 *)&pointer);
}

/* The store of what is, or will be, called so; 0: none. */
__weak __noinline u32 store_of_name(u64 dentry_address)
{
	struct dentry___store *dentry = (void *)dentry_address;
	struct store_device *device = store_device_of(BPF_CORE_READ(dentry, d_sb, s_dev));
	struct inode___store *inode = BPF_CORE_READ(dentry, d_inode);

	if (!device)
		return 0;
	if (!inode) {
		dentry = BPF_CORE_READ(dentry, d_parent);
		inode = BPF_CORE_READ(dentry, d_inode);
	}
	return store_on_device(device, inode, dentry);
}

/* The store of the folder that this name is in. */
static __always_inline u32 store_of_folder(struct dentry___store *dentry)
{
	return store_of_name((u64)BPF_CORE_READ(dentry, d_parent));
}

/* A file of a store gets a name outside of it, by which it belongs to the store, too. */
static __always_inline void store_leaves_by_link(struct inode___store *inode, u32 store)
{
	struct store_file_key key = {};

	key.inode = BPF_CORE_READ(inode, i_ino);
	key.device = BPF_CORE_READ(inode, i_sb, s_dev);
	key.generation = BPF_CORE_READ(inode, i_generation);
	bpf_map_update_elem(&store_links, &key, &store, BPF_ANY);
}

#endif
