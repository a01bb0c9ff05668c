/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The path of a file, for display; identity is device and inode. */
#ifndef VEDETTE_PATH_BPF_H
#define VEDETTE_PATH_BPF_H

#include "kernel.bpf.h"

#define PATH_BYTES 256
#define PATH_LEVELS 32
/* The walk writes a name of up to 255 bytes and its slash at any place below PATH_BYTES. */
#define PATH_SCRATCH_BYTES (2 * PATH_BYTES)

/*
 * Walks from `dentry` up to the root of the mount namespace of `mount`, across mounts, writing
 * names backward into `scratch` (PATH_SCRATCH_BYTES), and copies the result to `out` (PATH_BYTES,
 * zeroed). Returns true when the beginning is missing: too long or too deep.
 *
 * By hand, because bpf_d_path may not be called from these hooks. The namespace's root and not the
 * process's: a chroot must not be able to dress up as /usr/bin.
 */
static __always_inline bool path_read_at(struct dentry *dentry, struct mount *mount, char *scratch,
					 char *out)
{
	bool complete = false;
	u32 at = PATH_BYTES;

	for (int i = 0; i < PATH_LEVELS; i++) {
		struct dentry *parent;
		u32 length;

		if (dentry == BPF_CORE_READ(mount, mnt.mnt_root)) {
			struct mount *above = BPF_CORE_READ(mount, mnt_parent);

			if (above == mount) {
				complete = true;
				break;
			}
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			mount = above;
			continue;
		}
		length = BPF_CORE_READ(dentry, d_name.len);
		if (length >= at || length >= PATH_BYTES)
			break;
		at -= length + 1;
		/* The mask repeats what the checks say, in a way that every verifier follows. */
		at &= PATH_BYTES - 1;
		scratch[at] = '/';
		bpf_probe_read_kernel(&scratch[at + 1], length & (PATH_BYTES - 1),
				      BPF_CORE_READ(dentry, d_name.name));
		parent = BPF_CORE_READ(dentry, d_parent);
		/* A file without a place in any tree, such as a memfd. */
		if (parent == dentry) {
			complete = true;
			break;
		}
		dentry = parent;
	}
	if (at < PATH_BYTES)
		bpf_probe_read_kernel(out, PATH_BYTES - at, &scratch[at]);
	return !complete;
}

/* As path_read_at, of an open file. */
static __always_inline bool path_read(struct file *file, char *scratch, char *out)
{
	struct vfsmount *vfsmount = BPF_CORE_READ(file, f_path.mnt);

	return path_read_at(BPF_CORE_READ(file, f_path.dentry),
			    (void *)vfsmount - bpf_core_field_offset(struct mount, mnt), scratch,
			    out);
}

/*
 * As path_read_at, from the root of the dentry's own file system and not of a mount namespace: with
 * sysfs and procfs the same file then has the same path wherever they are mounted.
 */
static __always_inline bool path_read_below(struct dentry *dentry, char *scratch, char *out)
{
	bool complete = false;
	u32 at = PATH_BYTES;

	for (int i = 0; i < PATH_LEVELS; i++) {
		struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
		u32 length;

		if (parent == dentry) {
			complete = true;
			break;
		}
		length = BPF_CORE_READ(dentry, d_name.len);
		if (length >= at || length >= PATH_BYTES)
			break;
		at -= length + 1;
		at &= PATH_BYTES - 1;
		scratch[at] = '/';
		bpf_probe_read_kernel(&scratch[at + 1], length & (PATH_BYTES - 1),
				      BPF_CORE_READ(dentry, d_name.name));
		dentry = parent;
	}
	if (at < PATH_BYTES)
		bpf_probe_read_kernel(out, PATH_BYTES - at, &scratch[at]);
	return !complete;
}

#endif
