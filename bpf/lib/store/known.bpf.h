/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The store of a file, for nearly all of them at once: by its device, or by what is remembered. */
#ifndef VEDETTE_STORE_KNOWN_BPF_H
#define VEDETTE_STORE_KNOWN_BPF_H

#include "label.bpf.h"

/* Is it a file in a layer of an overlay, which may know it as one of a store? */
static __always_inline bool store_is_of_layer(struct file *file)
{
	struct dentry___store *dentry;

	if (bpf_core_type_exists(struct backing_file))
		return store_mode_of_layer(file->f_mode);
	dentry = (void *)file->f_path.dentry;
	return dentry->d_inode != (void *)file->f_inode;
}

/*
 * May a file belong to a store? One look-up, of its device. Of a file that the verifier trusts.
 */
static __always_inline bool store_may_have(struct file *file)
{
	struct inode *inode = file->f_inode;

	if (store_device_of(inode->i_sb->s_dev))
		return true;
	return (inode->i_mode & STORE_INODE_TYPE_MASK) == STORE_INODE_TYPE_BLOCK ||
	       store_is_of_layer(file);
}

/* As store_may_have, of a file that the verifier does not trust. */
static __always_inline bool store_may_have_read(struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);

	if (store_device_of(store_device_number((void *)inode)))
		return true;
	return store_overlay_dentry(file) != NULL;
}

/* The store by what is remembered of labels; false when it has to be looked for. */
static __always_inline bool store_remembered(const struct store_file_key *key, u32 *store)
{
	struct store_device *device = store_device_of(key->device);
	struct store_file *known;

	if (!device)
		return true;
	*store = device->store;
	if (!device->has_roots)
		return true;
	known = bpf_map_lookup_elem(&store_files, key);
	if (!known || known->generation != store_labels_generation())
		return false;
	if (known->store)
		*store = known->store;
	return true;
}

/*
 * The store of a file that the verifier trusts, and of which the label is remembered; 0: none.
 * False when it has to be looked for. For most files of no store no helper is called.
 */
static __always_inline bool store_known(struct file *file, u32 *store)
{
	struct inode___store *inode = (void *)file->f_inode;
	struct store_file_key key = {};
	u64 hash;

	*store = 0;
	key.device = inode->i_sb->s_dev;
	if (!store_device_may_have(key.device))
		return (inode->i_mode & STORE_INODE_TYPE_MASK) != STORE_INODE_TYPE_BLOCK &&
		       !store_is_of_layer(file);
	key.inode = inode->i_ino;
	key.generation = inode->i_generation;
	if ((inode->i_mode & STORE_INODE_TYPE_MASK) == STORE_INODE_TYPE_FOLDER)
		key.generation ^= STORE_FILE_IS_FOLDER;
	hash = store_label_hash(&key);
	if (!store_label_at(hash, store)) {
		if (!store_remembered(&key, store))
			return false;
		store_label_set(hash, *store);
	}
	if (*store)
		return true;
	/* Of no store, it may be of one by another name, or by the overlay that it is a layer of. */
	return inode->i_nlink <= 1 && !store_is_of_layer(file) &&
	       (inode->i_mode & STORE_INODE_TYPE_MASK) != STORE_INODE_TYPE_BLOCK;
}

#endif
