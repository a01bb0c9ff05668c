// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Changes of the files of stores: created, opened for writing, overwritten, truncated, renamed,
 * deleted, linked, and what their attributes are set to.
 *
 * At the security hooks of inodes: the file is found by then, whatever path, link or descriptor
 * named it, and system calls, io_uring, the file server of the kernel and overlays pass there. Both
 * ends of a rename are known, and what a file held before. At the end of the hooks, when the kernel
 * has agreed; a file system can still fail.
 *
 * Not seen: lists of access rights (ACL) from Linux 6.2 on, times, and what is done on another node
 * or by a file server of its own. What is done in an overlay is told of it and of the layer.
 */
#include "store/change.bpf.h"
#include "store/name.bpf.h"
#include "store/opened.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* iattr.ia_valid */
#define SETTING_MODE 1
#define SETTING_UID 2
#define SETTING_GID 4
#define SETTING_SIZE 8
#define RENAME_FLAG_EXCHANGE 2

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct iattr {
	unsigned int ia_valid;
	s64 ia_size;
};

#pragma clang attribute pop

/* Of a file; of anything else 0. */
static __always_inline u64 size_of(struct inode___store *inode)
{
	return inode && store_is_regular(inode) ? BPF_CORE_READ(inode, i_size) : 0;
}

/*
 * What follows are functions of their own for the verifier, each for all programs that call it.
 * They are given addresses as numbers: pointers that the verifier trusts may not be handed on.
 */

/* Something of one name is done: a folder is made, a file deleted, or the like. */
__weak __noinline int store_on_name(u64 dentry_address, u32 hook, u32 operation)
{
	struct dentry___store *dentry = (void *)dentry_address;
	struct store_alteration change = { .hook = hook, .operation = operation };

	change.store = store_of_name(dentry_address);
	if (!store_is_watched(change.store))
		return 0;
	change.dentry = (void *)dentry;
	if (operation == STORE_OPERATION_DELETE)
		change.bytes = size_of(BPF_CORE_READ(dentry, d_inode));
	store_alteration_note(&change, dentry);
	return 0;
}

__weak __noinline int store_on_symlink(u64 dentry_address, u64 target)
{
	struct dentry___store *dentry = (void *)dentry_address;
	struct store_alteration change = {
		.hook = STORE_HOOK_SYMLINK, .operation = STORE_OPERATION_LINK,
	};

	change.store = store_of_name(dentry_address);
	change.dentry = (void *)dentry;
	change.old_path = (void *)target;
	store_alteration_note(&change, dentry);
	return 0;
}

/* Size, mode or owner. What shrinks is truncated, what grows is modified. */
__weak __noinline int store_on_setting(u64 dentry_address, u64 settings_address)
{
	struct dentry___store *dentry = (void *)dentry_address;
	struct iattr *settings = (void *)settings_address;
	u32 valid = BPF_CORE_READ(settings, ia_valid);
	struct store_alteration change = {
		.hook = STORE_HOOK_SETTING, .operation = STORE_OPERATION_ATTRIBUTES,
	};
	u64 before, size;

	if (!(valid & (SETTING_MODE | SETTING_UID | SETTING_GID | SETTING_SIZE)))
		return 0;
	change.store = store_of_name(dentry_address);
	if (!store_is_watched(change.store))
		return 0;
	change.dentry = (void *)dentry;
	if (valid & SETTING_SIZE) {
		before = size_of(BPF_CORE_READ(dentry, d_inode));
		size = BPF_CORE_READ(settings, ia_size);
		if (size == before)
			return 0;
		change.operation = STORE_OPERATION_MODIFY;
		if (size < before) {
			change.operation = STORE_OPERATION_TRUNCATE;
			change.bytes = before;
		}
	}
	store_alteration_note(&change, dentry);
	return 0;
}

/* Of two stores, both are told. */
static __always_inline void note_both(struct store_alteration *change, struct dentry___store *file,
				      u32 store, u32 other)
{
	change->store = store;
	store_alteration_note(change, file);
	if (other == store)
		return;
	change->store = other;
	store_alteration_note(change, file);
}

__weak __noinline int store_on_rename(u64 from, u64 to, u32 flags)
{
	struct dentry___store *file = (void *)from, *other = (void *)to;
	struct store_alteration change = {
		.hook = STORE_HOOK_RENAME, .operation = STORE_OPERATION_RENAME,
	};

	if (!store_device_of(BPF_CORE_READ(file, d_sb, s_dev)))
		return 0;
	change.dentry = (void *)other;
	change.old_dentry = (void *)file;
	/* What it replaces is deleted by this. */
	if (!(flags & RENAME_FLAG_EXCHANGE))
		change.bytes = size_of(BPF_CORE_READ(other, d_inode));
	note_both(&change, file, store_of_name(from), store_of_folder(other));
	return 0;
}

__weak __noinline int store_on_link(u64 from, u64 to)
{
	struct dentry___store *file = (void *)from, *name = (void *)to;
	struct store_alteration change = {
		.hook = STORE_HOOK_LINK, .operation = STORE_OPERATION_LINK,
	};
	u32 store, folder;

	if (!store_device_of(BPF_CORE_READ(file, d_sb, s_dev)))
		return 0;
	store = store_of_name(from);
	folder = store_of_name(to);
	change.dentry = (void *)name;
	change.old_dentry = (void *)file;
	note_both(&change, file, store, folder);
	if (store && store != folder)
		store_leaves_by_link(BPF_CORE_READ(file, d_inode), store);
	return 0;
}

SEC("fexit/security_file_open")
int BPF_PROG(store_opening_fexit, struct file *file, int refused)
{
	u64 number;

	if (refused || !(file->f_mode & FILE_MODE_WRITE))
		return 0;
	number = store_number_of(file);
	store_opened(number, number, 0);
	return 0;
}

/* Every open file ends with this. */
SEC("fentry/locks_remove_file")
int BPF_PROG(store_closing_fentry, struct file *file)
{
	if ((file->f_mode & FILE_MODE_WRITE) && store_device_of(file->f_inode->i_sb->s_dev))
		store_closed(store_number_of(file), 0);
	return 0;
}

SEC("fexit/security_inode_rename")
int BPF_PROG(store_rename_fexit, void *old_dir, struct dentry *from, void *new_dir,
	     struct dentry *to, unsigned int flags, int refused)
{
	if (!refused)
		store_on_rename(store_number_of(from), store_number_of(to), flags);
	return 0;
}

SEC("fexit/security_inode_link")
int BPF_PROG(store_link_fexit, struct dentry *from, void *dir, struct dentry *to, int refused)
{
	if (!refused)
		store_on_link(store_number_of(from), store_number_of(to));
	return 0;
}

SEC("fexit/security_inode_symlink")
int BPF_PROG(store_symlink_fexit, void *dir, struct dentry *name, const char *target, int refused)
{
	if (!refused)
		store_on_symlink(store_number_of(name), store_number_of(target));
	return 0;
}

SEC("fexit/security_inode_unlink")
int BPF_PROG(store_unlink_fexit, void *dir, struct dentry *name, int refused)
{
	if (!refused)
		store_on_name(store_number_of(name), STORE_HOOK_UNLINK, STORE_OPERATION_DELETE);
	return 0;
}

SEC("fexit/security_inode_rmdir")
int BPF_PROG(store_rmdir_fexit, void *dir, struct dentry *name, int refused)
{
	if (!refused)
		store_on_name(store_number_of(name), STORE_HOOK_FOLDER_GONE, STORE_OPERATION_DELETE);
	return 0;
}

SEC("fexit/security_inode_mkdir")
int BPF_PROG(store_mkdir_fexit, void *dir, struct dentry *name, u16 mode, int refused)
{
	if (!refused)
		store_on_name(store_number_of(name), STORE_HOOK_FOLDER_MADE, STORE_OPERATION_CREATE);
	return 0;
}

SEC("fexit/security_inode_setattr")
int BPF_PROG(store_setting_fexit, void *ids, struct dentry *name, struct iattr *settings,
	     int refused)
{
	if (!refused)
		store_on_setting(store_number_of(name), store_number_of(settings));
	return 0;
}

SEC("fexit/security_inode_setxattr")
int BPF_PROG(store_extended_fexit, void *ids, struct dentry *name, const char *attribute,
	     const void *value, unsigned long bytes, int flags, int refused)
{
	if (!refused)
		store_on_name(store_number_of(name), STORE_HOOK_EXTENDED, STORE_OPERATION_ATTRIBUTES);
	return 0;
}

SEC("fexit/security_inode_removexattr")
int BPF_PROG(store_extended_removed_fexit, void *ids, struct dentry *name, const char *attribute,
	     int refused)
{
	if (!refused)
		store_on_name(store_number_of(name), STORE_HOOK_EXTENDED_GONE, STORE_OPERATION_ATTRIBUTES);
	return 0;
}

SEC("kprobe/security_file_open")
int BPF_KPROBE(store_opening_kprobe, struct file *file)
{
	if (BPF_CORE_READ(file, f_mode) & FILE_MODE_WRITE)
		store_opened((u64)file, (u64)file, 0);
	return 0;
}

SEC("kprobe/locks_remove_file")
int BPF_KPROBE(store_closing_kprobe, struct file *file)
{
	if ((BPF_CORE_READ(file, f_mode) & FILE_MODE_WRITE) &&
	    store_device_of(BPF_CORE_READ(file, f_inode, i_sb, s_dev)))
		store_closed((u64)file, 0);
	return 0;
}

SEC("kprobe/security_inode_rename")
int BPF_KPROBE(store_rename_kprobe, void *old_dir, void *from, void *new_dir, void *to,
	       unsigned int flags)
{
	store_on_rename((u64)from, (u64)to, flags);
	return 0;
}

SEC("kprobe/security_inode_link")
int BPF_KPROBE(store_link_kprobe, void *from, void *dir, void *to)
{
	store_on_link((u64)from, (u64)to);
	return 0;
}

SEC("kprobe/security_inode_symlink")
int BPF_KPROBE(store_symlink_kprobe, void *dir, void *name, const char *target)
{
	store_on_symlink((u64)name, (u64)target);
	return 0;
}

SEC("kprobe/security_inode_unlink")
int BPF_KPROBE(store_unlink_kprobe, void *dir, void *name)
{
	store_on_name((u64)name, STORE_HOOK_UNLINK, STORE_OPERATION_DELETE);
	return 0;
}

SEC("kprobe/security_inode_rmdir")
int BPF_KPROBE(store_rmdir_kprobe, void *dir, void *name)
{
	store_on_name((u64)name, STORE_HOOK_FOLDER_GONE, STORE_OPERATION_DELETE);
	return 0;
}

SEC("kprobe/security_inode_mkdir")
int BPF_KPROBE(store_mkdir_kprobe, void *dir, void *name)
{
	store_on_name((u64)name, STORE_HOOK_FOLDER_MADE, STORE_OPERATION_CREATE);
	return 0;
}

SEC("kprobe/security_inode_setattr")
int BPF_KPROBE(store_setting_kprobe, void *ids, void *name, void *settings)
{
	store_on_setting((u64)name, (u64)settings);
	return 0;
}

SEC("kprobe/security_inode_setxattr")
int BPF_KPROBE(store_extended_kprobe, void *ids, void *name)
{
	store_on_name((u64)name, STORE_HOOK_EXTENDED, STORE_OPERATION_ATTRIBUTES);
	return 0;
}

SEC("kprobe/security_inode_removexattr")
int BPF_KPROBE(store_extended_removed_kprobe, void *ids, void *name)
{
	store_on_name((u64)name, STORE_HOOK_EXTENDED_GONE, STORE_OPERATION_ATTRIBUTES);
	return 0;
}
