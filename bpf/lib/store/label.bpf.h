/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Which store a file belongs to. By device and inode, and never by path: a link, a bind mount,
 * /proc/self/root or a descriptor that was passed on are other ways to the same file.
 *
 * The agent says which folders and files are roots of stores, and which file systems belong to one
 * as a whole. Everything below a root belongs to its store; of roots inside each other the inner
 * one counts.
 *
 * Not seen: a file that the kernel knows by its handle alone (open_by_handle_at, before anybody
 * asked for its name) has no folder here. It is counted as a fault.
 */
#ifndef VEDETTE_STORE_LABEL_BPF_H
#define VEDETTE_STORE_LABEL_BPF_H

#include "device.bpf.h"
#include "label_memory.bpf.h"
#include "record.bpf.h"

/* Folders between a file and the root of its store. */
#define STORE_LEVELS 64
/* Names of a file with several hard links that are tried. */
#define STORE_NAMES 4
#define STORE_INODE_TYPE_MASK 0170000
#define STORE_INODE_TYPE_BLOCK 0060000
#define STORE_INODE_TYPE_FOLDER 0040000
/*
 * file.f_mode, from Linux 6.5 on, of the file of a layer that an overlay opened: FMODE_BACKING,
 * which is the one or the other bit, and FMODE_NOACCOUNT, which goes with it.
 */
#define STORE_FILE_OF_LAYER (3u << 24)
#define STORE_FILE_NOT_ACCOUNTED (1u << 29)

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct dentry___store {
	struct dentry___store *d_parent;
	struct inode___store *d_inode;
	struct super_block *d_sb;
	union {
		struct hlist_node d_alias;
	} d_u;
};

struct inode___store {
	u16 i_mode;
	u64 i_ino;
	u32 i_nlink;
	u32 i_rdev;
	u32 i_generation;
	s64 i_size;
	struct super_block *i_sb;
	struct hlist_head i_dentry;
};

/* From Linux 6.5 on; before, a file of a layer has the path of the overlay as its own. */
struct backing_file {
	struct file file;
	struct path user_path;
};

#pragma clang attribute pop

/* Overlays of several file systems number their folders and their files each for itself. */
struct store_root {
	u64 inode;
	u32 device;
	/* 1: it is one. */
	u32 folder;
};

/* Folders, and files of which one name lies in a store, to the number of the store. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct store_root);
	__type(value, u32);
} store_roots __weak SEC(".maps");

static __always_inline bool store_is_folder(struct inode___store *inode)
{
	return (BPF_CORE_READ(inode, i_mode) & STORE_INODE_TYPE_MASK) == STORE_INODE_TYPE_FOLDER;
}

static __always_inline u32 store_of_link(const struct store_file_key *key)
{
	u32 *store = bpf_map_lookup_elem(&store_links, key);

	return store ? *store : 0;
}

/*
 * The store of the root that is nearest above, or is the file itself; 0: none. Global, as others
 * here and in read.bpf.h: the verifier follows it once, and not once for each way to it. Pointers
 * are numbers for it then.
 */
__weak __noinline u32 store_walk(u64 address)
{
	struct dentry___store *dentry = (void *)address, *parent;
	struct store_root key = {};
	u32 *store;

	key.device = BPF_CORE_READ(dentry, d_sb, s_dev);
	key.folder = store_is_folder(BPF_CORE_READ(dentry, d_inode));
	for (int i = 0; i < STORE_LEVELS; i++) {
		key.inode = BPF_CORE_READ(dentry, d_inode, i_ino);
		store = bpf_map_lookup_elem(&store_roots, &key);
		if (store)
			return *store;
		parent = BPF_CORE_READ(dentry, d_parent);
		if (parent == dentry)
			return 0;
		dentry = parent;
		key.folder = 1;
	}
	return 0;
}

static __always_inline bool store_has_no_folder(struct dentry___store *dentry)
{
	return BPF_CORE_READ(dentry, d_parent) == dentry;
}

/* By every name that the kernel has of it at the moment; 0: none leads below a root. */
__weak __noinline u32 store_walk_names(u64 address)
{
	struct inode___store *inode = (void *)address;
	struct hlist_node *node = BPF_CORE_READ(inode, i_dentry.first);
	struct dentry___store *dentry;
	bool named = false;
	u32 store = 0;

	for (int i = 0; i < STORE_NAMES && node && !store; i++) {
		dentry = (void *)node - bpf_core_field_offset(struct dentry___store, d_u.d_alias);
		if (!store_has_no_folder(dentry))
			named = true;
		store = store_walk((u64)dentry);
		node = BPF_CORE_READ(node, next);
	}
	if (!named && !store && !store_is_folder(inode))
		fault_count(FAULT_STORE_FILE_UNNAMED);
	return store;
}

/* The store of an inode of a device with roots, remembered. `dentry`: of the file, or NULL. */
__weak __noinline u32 store_of_inode(u64 inode_address, u64 dentry_address)
{
	struct inode___store *inode = (void *)inode_address;
	struct dentry___store *dentry = (void *)dentry_address;
	struct store_file found = {}, *known;
	struct store_file_key key = {};

	key.inode = BPF_CORE_READ(inode, i_ino);
	key.device = BPF_CORE_READ(inode, i_sb, s_dev);
	key.generation = BPF_CORE_READ(inode, i_generation);
	if (store_is_folder(inode))
		key.generation ^= STORE_FILE_IS_FOLDER;
	found.generation = store_labels_generation();
	known = bpf_map_lookup_elem(&store_files, &key);
	/* With several names, one that came since may lead into a store. */
	if (known && known->generation == found.generation &&
	    (known->store || BPF_CORE_READ(inode, i_nlink) <= 1))
		return known->store;
	if (dentry && BPF_CORE_READ(dentry, d_inode) == inode)
		found.store = store_walk(dentry_address);
	if (!found.store)
		found.store = store_walk_names(inode_address);
	if (!found.store)
		found.store = store_of_link(&key);
	bpf_map_update_elem(&store_files, &key, &found, BPF_ANY);
	return found.store;
}

/* The store of an inode on a device that holds stores; 0: none. `dentry`: of the file, or NULL. */
static __always_inline u32 store_on_device(const struct store_device *device,
					   struct inode___store *inode,
					   struct dentry___store *dentry)
{
	u32 store = 0;

	if (device->has_roots)
		store = store_of_inode((u64)inode, (u64)dentry);
	return store ? store : device->store;
}

/*
 * The device that the bytes of an inode lie on: for the node of a disk the disk itself, which is
 * the device of the file system on it, too.
 */
static __always_inline u32 store_device_number(struct inode___store *inode)
{
	if ((BPF_CORE_READ(inode, i_mode) & STORE_INODE_TYPE_MASK) == STORE_INODE_TYPE_BLOCK)
		return BPF_CORE_READ(inode, i_rdev);
	return BPF_CORE_READ(inode, i_sb, s_dev);
}

static __always_inline bool store_mode_of_layer(u32 mode)
{
	return mode & STORE_FILE_OF_LAYER && mode & STORE_FILE_NOT_ACCOUNTED;
}

/* The overlay's own name of a file in one of its layers; NULL when it is no such file. */
static __always_inline struct dentry___store *store_overlay_dentry(struct file *file)
{
	struct dentry___store *dentry = NULL;
	struct path *user_path;

	if (bpf_core_type_exists(struct backing_file)) {
		if (!store_mode_of_layer(BPF_CORE_READ(file, f_mode)))
			return NULL;
		/* The path is the first member after the file, whatever it is called. */
		user_path = (void *)file + bpf_core_type_size(struct file);
		return (void *)BPF_CORE_READ(user_path, dentry);
	}
	dentry = (void *)BPF_CORE_READ(file, f_path.dentry);
	if (BPF_CORE_READ(dentry, d_inode) == (void *)BPF_CORE_READ(file, f_inode))
		return NULL;
	return dentry;
}

/* Of a file in a layer, whose layer belongs to no store: by the overlay. */
__weak __noinline u32 store_of_overlay(u64 file)
{
	struct dentry___store *dentry = store_overlay_dentry((struct file *)file);
	struct inode___store *inode;
	struct store_device *device;

	if (!dentry)
		return 0;
	inode = BPF_CORE_READ(dentry, d_inode);
	if (!inode)
		return 0;
	device = store_device_of(BPF_CORE_READ(dentry, d_sb, s_dev));
	return device ? store_on_device(device, inode, dentry) : 0;
}

/* The store of an open file; 0: none. For a file of no store, a look-up of its device. */
static __always_inline u32 store_of_file(struct file *file)
{
	struct inode___store *inode = (void *)BPF_CORE_READ(file, f_inode);
	struct store_device *device = store_device_of(store_device_number(inode));
	u32 store = 0;

	if (device)
		store = store_on_device(device, inode, (void *)BPF_CORE_READ(file, f_path.dentry));
	return store ? store : store_of_overlay((u64)file);
}

/* A file or folder has another place: it and what is below it may belong to another store. */
static __always_inline int store_moved(struct dentry___store *dentry)
{
	struct inode___store *inode = BPF_CORE_READ(dentry, d_inode);
	struct store_file_key key = {};

	if (!inode)
		return 0;
	if (store_is_folder(inode)) {
		store_labels_forget();
		return 0;
	}
	key.inode = BPF_CORE_READ(inode, i_ino);
	key.device = BPF_CORE_READ(inode, i_sb, s_dev);
	key.generation = BPF_CORE_READ(inode, i_generation);
	bpf_map_delete_elem(&store_files, &key);
	store_label_forget(store_label_hash(&key));
	return 0;
}

#endif
