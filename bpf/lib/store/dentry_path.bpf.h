/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The path of a file of which only its name in its file system is known: hooks of changes are told
 * no mount. Any mount of the process's namespace will do that shows the file: it is for display.
 */
#ifndef VEDETTE_STORE_DENTRY_PATH_BPF_H
#define VEDETTE_STORE_DENTRY_PATH_BPF_H

#include "label.bpf.h"
#include "path.bpf.h"

/* Mounts of the file system that are looked at, and those of the namespace that are tried. */
#define PATH_MOUNTS 64
#define PATH_MOUNTS_TRIED 8

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct super_block___list {
	struct list_head s_mounts;
};

struct mount___list {
	struct list_head mnt_instance;
};

/* From Linux 6.17 on. */
struct super_block___chain {
	struct mount *s_mounts;
};

struct mount___chain {
	struct mount *mnt_next_for_sb;
};

#pragma clang attribute pop

/* Where a path is made. */
struct path_scratch {
	char path[PATH_SCRATCH_BYTES];
	/* Roots of the mounts that are tried. */
	struct mount *mounts[PATH_MOUNTS_TRIED];
	struct dentry *roots[PATH_MOUNTS_TRIED];
};

/* The hooks, as the places where they make paths: one can run while another waits for its CPU. */
enum store_hook {
	STORE_HOOK_OPEN,
	STORE_HOOK_CLOSE,
	STORE_HOOK_RENAME,
	STORE_HOOK_LINK,
	STORE_HOOK_SYMLINK,
	STORE_HOOK_UNLINK,
	STORE_HOOK_FOLDER_MADE,
	STORE_HOOK_FOLDER_GONE,
	STORE_HOOK_SETTING,
	STORE_HOOK_EXTENDED,
	STORE_HOOK_EXTENDED_GONE,
	STORE_HOOK_CALL,
	STORE_HOOK_LISTING,
	STORE_HOOKS,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, STORE_HOOKS);
	__type(key, u32);
	__type(value, struct path_scratch);
} store_path_scratches __weak SEC(".maps");

static __always_inline struct path_scratch *path_scratch_of(u32 hook)
{
	return bpf_map_lookup_elem(&store_path_scratches, &hook);
}

/*
 * All that follow are functions of their own for the verifier, which otherwise would try what one
 * of them may do with all that another may: addresses are given to them as numbers.
 */

/* 1: it shows a folder in this mount namespace. */
__weak __noinline u32 store_mount_is_of(u64 mount_address, u64 namespace)
{
	struct mount *mount = (void *)mount_address;
	struct dentry___store *root = (void *)BPF_CORE_READ(mount, mnt.mnt_root);

	return (u64)BPF_CORE_READ(mount, mnt_ns) == namespace &&
	       (BPF_CORE_READ(root, d_inode, i_mode) & STORE_INODE_TYPE_MASK) ==
		       STORE_INODE_TYPE_FOLDER;
}

static __always_inline u64 namespace_of_current(void)
{
	return (u64)BPF_CORE_READ(bpf_get_current_task_btf(), nsproxy, mnt_ns);
}

/* Remembers the mount if it is one; of too many, others are forgotten. */
static __always_inline u32 mount_remember(struct path_scratch *scratch, u32 found,
					  struct mount *mount, u64 namespace)
{
	u32 at = found & (PATH_MOUNTS_TRIED - 1);

	scratch->mounts[at] = mount;
	scratch->roots[at] = BPF_CORE_READ(mount, mnt.mnt_root);
	return found + store_mount_is_of((u64)mount, namespace);
}

/*
 * Mounts of the file system in the namespace of the current process. Twice and apart, since the
 * compiler would ask for a place of the one kernel on the way of the other; and part of their
 * caller, since Linux 6.1 looks at functions of their own also when nobody calls them.
 */
static __noinline int mounts_listed(u64 fs, u32 hook)
{
	struct path_scratch *scratch = path_scratch_of(hook);
	u64 namespace = namespace_of_current();
	struct list_head *head, *node;
	u32 found = 0;

	if (!scratch)
		return 0;
	head = (void *)fs + bpf_core_field_offset(struct super_block___list, s_mounts);
	node = BPF_CORE_READ(head, next);
	for (int i = 0; i < PATH_MOUNTS && node && node != head; i++) {
		found = mount_remember(
			scratch, found,
			(void *)node - bpf_core_field_offset(struct mount___list, mnt_instance),
			namespace);
		node = BPF_CORE_READ(node, next);
	}
	return 0;
}

static __noinline int mounts_chained(u64 fs, u32 hook)
{
	struct super_block___chain *with_mounts = (void *)fs;
	struct mount *mount = BPF_CORE_READ(with_mounts, s_mounts);
	struct path_scratch *scratch = path_scratch_of(hook);
	u64 namespace = namespace_of_current();
	struct mount___chain *chained;
	u32 found = 0;

	if (!scratch)
		return 0;
	for (int i = 0; i < PATH_MOUNTS && mount; i++) {
		found = mount_remember(scratch, found, mount, namespace);
		chained = (void *)mount;
		mount = BPF_CORE_READ(chained, mnt_next_for_sb);
	}
	return 0;
}

__weak __noinline int store_mounts_of(u64 fs, u32 hook)
{
	if (bpf_core_field_exists(struct mount___chain, mnt_next_for_sb))
		return mounts_chained(fs, hook);
	return mounts_listed(fs, hook);
}

/* The mount that shows the file, of those that were collected; 0: none does. */
__weak __noinline u64 store_mount_showing(u64 dentry_address, u32 hook)
{
	struct dentry___store *dentry = (void *)dentry_address, *parent;
	struct path_scratch *scratch = path_scratch_of(hook);
	u64 namespace = namespace_of_current();

	if (!scratch)
		return 0;
	for (int i = 0; i < PATH_LEVELS; i++) {
#pragma unroll
		for (int k = 0; k < PATH_MOUNTS_TRIED; k++) {
			/* The last one may be of another namespace. */
			if (scratch->roots[k] == (void *)dentry &&
			    store_mount_is_of((u64)scratch->mounts[k], namespace))
				return (u64)scratch->mounts[k];
		}
		parent = BPF_CORE_READ(dentry, d_parent);
		if (parent == dentry)
			return 0;
		dentry = parent;
	}
	return 0;
}

/* A path in memory of our own. */
struct path_text {
	char text[PATH_BYTES];
};

/* By this mount; 0: from the root of its file system. */
__weak __noinline u32 store_path_by(u64 dentry, u64 mount, u32 hook, struct path_text *out)
{
	struct path_scratch *scratch = path_scratch_of(hook);

	if (!scratch || !out)
		return 0;
	if (mount)
		return path_read_at((void *)dentry, (void *)mount, scratch->path, out->text);
	return path_read_below((void *)dentry, scratch->path, out->text);
}

/*
 * The path of a dentry into `out`, which is zeroed: in the namespace of the process, or, where no
 * mount of it shows the file, from the root of its file system. 1: its beginning is missing.
 */
static __always_inline u32 store_dentry_path(struct dentry *dentry, u32 hook,
					     struct path_text *out)
{
	struct dentry___store *with_fs = (void *)dentry;
	struct path_scratch *scratch = path_scratch_of(hook);

	if (!scratch)
		return 0;
	__builtin_memset(scratch->roots, 0, sizeof(scratch->roots));
	store_mounts_of((u64)BPF_CORE_READ(with_fs, d_sb), hook);
	return store_path_by((u64)dentry, store_mount_showing((u64)dentry, hook), hook, out);
}

/* A file of which the mount is known, by addresses. */
struct placed {
	u64 dentry;
	u64 mount;
};

static __always_inline void place_of(struct placed *placed, const struct path *path)
{
	placed->dentry = (u64)BPF_CORE_READ(path, dentry);
	placed->mount = (u64)BPF_CORE_READ(path, mnt) - bpf_core_field_offset(struct mount, mnt);
}

static __always_inline u64 path_address(struct file *file)
{
	return (u64)file + bpf_core_field_offset(struct file, f_path);
}

static __always_inline u32 store_file_path(struct file *file, u32 hook, struct path_text *out)
{
	struct placed placed;

	place_of(&placed, (void *)path_address(file));
	return store_path_by(placed.dentry, placed.mount, hook, out);
}

#endif
