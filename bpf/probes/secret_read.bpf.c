// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Who opens the token of a Kubernetes service account: with it a process is the pod for the API
 * server.
 *
 * security_file_open is the one function behind open(), openat2(), io_uring and file handles; the
 * file is found by then, whatever path, link or descriptor named it. Kubelet keeps tokens on a
 * tmpfs of their own, at .../kubernetes.io~projected/... on the node and, by default, at
 * .../kubernetes.io/serviceaccount in the container.
 *
 * Not seen: a token mounted into a container at a path of its own choice, without kubernetes.io;
 * and the reading of a descriptor that another process passed on.
 */
#include "identity.bpf.h"
#include "path.bpf.h"
#include "scope.bpf.h"
#include "told.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define FILE_MODE_READ 1
#define TMPFS_MAGIC 0x01021994
/* Directories, and one mount, between a token and the folder that says whose it is. */
#define SECRET_LEVELS 6

/* "token", and the two halves of "kubernetes.io", as the numbers that they are in memory. */
#define NAME_TOKEN 0x6e656b6f74ull
#define NAME_TOKEN_BYTES 5
#define NAME_KUBERNETES_LOW 0x74656e726562756bull
#define NAME_KUBERNETES_HIGH 0x6f692e7365ull
#define NAME_KUBERNETES_HIGH_BYTES 5

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct told_key);
	__type(value, u64);
} secrets_told SEC(".maps");

/* For the path. A program does not interrupt itself on its CPU, so one is enough. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, char[PATH_SCRATCH_BYTES]);
} secret_scratch SEC(".maps");

/* Is it kubernetes.io, or does it begin with kubernetes.io~ ? */
static __always_inline bool is_kubernetes(struct dentry *dentry)
{
	u64 name[2] = {};
	u64 high;

	/* Names shorter than this lie in the dentry itself, which is longer. */
	bpf_probe_read_kernel(name, sizeof(name), BPF_CORE_READ(dentry, d_name.name));
	high = name[1] & ((1ull << (8 * NAME_KUBERNETES_HIGH_BYTES)) - 1);
	if (name[0] != NAME_KUBERNETES_LOW || high != NAME_KUBERNETES_HIGH)
		return false;
	high = name[1] >> (8 * NAME_KUBERNETES_HIGH_BYTES) & 0xff;
	return high == 0 || high == '~';
}

static __always_inline bool below_kubernetes(struct file *file)
{
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	struct vfsmount *vfsmount = BPF_CORE_READ(file, f_path.mnt);
	struct mount *mount = (void *)vfsmount - bpf_core_field_offset(struct mount, mnt);

	for (int i = 0; i < SECRET_LEVELS; i++) {
		if (dentry == BPF_CORE_READ(mount, mnt.mnt_root)) {
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			mount = BPF_CORE_READ(mount, mnt_parent);
		} else {
			dentry = BPF_CORE_READ(dentry, d_parent);
		}
		if (is_kubernetes(dentry))
			return true;
	}
	return false;
}

static __always_inline void on_open(struct file *file, u32 name_bytes)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct told_key key = {};
	struct secret_read *record;
	u64 name = 0, now;
	u32 zero = 0;
	char *scratch;

	if (name_bytes != NAME_TOKEN_BYTES)
		return;
	bpf_probe_read_kernel(&name, NAME_TOKEN_BYTES,
			      BPF_CORE_READ(file, f_path.dentry, d_name.name));
	if (name != NAME_TOKEN || BPF_CORE_READ(inode, i_sb, s_magic) != TMPFS_MAGIC)
		return;
	if (!(BPF_CORE_READ(file, f_mode) & FILE_MODE_READ) || !scope_has_current())
		return;
	if (!below_kubernetes(file))
		return;
	key.start_time = task->group_leader->start_boottime;
	key.pid = task->tgid;
	key.object = BPF_CORE_READ(inode, i_ino);
	key.device = BPF_CORE_READ(inode, i_sb, s_dev);
	now = bpf_ktime_get_boot_ns();
	scratch = bpf_map_lookup_elem(&secret_scratch, &zero);
	if (!scratch || !told_first(&secrets_told, &key, now, 0))
		return;
	record = record_reserve(KIND_SECRET_READ, sizeof(*record), now, cgroup_id_of(task));
	if (!record)
		return;
	identity_fill(&record->header, task);
	path_read(file, scratch, record->path);
	record->inode = key.object;
	record->device = key.device;
	record->secret = SECRET_KIND_SERVICE_ACCOUNT_TOKEN;
	record_submit(record);
}

SEC("fentry/security_file_open")
int BPF_PROG(secret_read_fentry, struct file *file)
{
	on_open(file, file->f_path.dentry->d_name.len);
	return 0;
}

SEC("kprobe/security_file_open")
int BPF_KPROBE(secret_read_kprobe, struct file *file)
{
	on_open(file, BPF_CORE_READ(file, f_path.dentry, d_name.len));
	return 0;
}
