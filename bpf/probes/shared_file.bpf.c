// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Files that a process of this node leaves where other nodes find them: opened for writing on a
 * file system that several nodes share, and closed for the last time.
 *
 * __fput, since every way to write ends there: write(), a mapping, io_uring, sendfile, a descriptor
 * that was passed on. It runs in the process that let go last, which is who is named.
 *
 * Not seen: writes on another node, or by the server itself; files that are renamed or linked into
 * place keep their inode number, which is what joins both ends.
 */
#include "identity.bpf.h"
#include "path.bpf.h"
#include "scope.bpf.h"
#include "told.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define FILE_MODE_WRITE 2
#define INODE_TYPE_MASK 0170000
#define INODE_TYPE_REGULAR 0100000
#define INODE_MAY_EXECUTE 0111

/* For tests on one machine: a type of file system (as in statfs) that counts as shared, too. */
const volatile u64 shared_fs_magic_extra __weak = 0;

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct told_key);
	__type(value, u64);
} shared_files_told SEC(".maps");

/* For the path. A program does not interrupt itself on its CPU, so one is enough. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, char[PATH_SCRATCH_BYTES]);
} shared_file_scratch SEC(".maps");

/* The first eight letters of a name, as the number that they are in memory. */
#define LETTERS(a, b, c, d, e, f, g, h)                                                            \
	((u64)(a) | (u64)(b) << 8 | (u64)(c) << 16 | (u64)(d) << 24 | (u64)(e) << 32 |             \
	 (u64)(f) << 40 | (u64)(g) << 48 | (u64)(h) << 56)

/*
 * By the name of the type and not by its magic number: not every vendor publishes one. fuse is
 * here for the object stores that are mounted with it.
 */
static __always_inline bool is_shared_type(const char *type)
{
	u64 name = 0;

	bpf_probe_read_kernel_str(&name, sizeof(name), type);
	switch (name) {
	case LETTERS('n', 'f', 's', 0, 0, 0, 0, 0):
	case LETTERS('n', 'f', 's', '4', 0, 0, 0, 0):
	case LETTERS('l', 'u', 's', 't', 'r', 'e', 0, 0):
	case LETTERS('g', 'p', 'f', 's', 0, 0, 0, 0):
	case LETTERS('w', 'e', 'k', 'a', 'f', 's', 0, 0):
	case LETTERS('b', 'e', 'e', 'g', 'f', 's', 0, 0):
	case LETTERS('c', 'e', 'p', 'h', 0, 0, 0, 0):
	case LETTERS('c', 'i', 'f', 's', 0, 0, 0, 0):
	case LETTERS('s', 'm', 'b', '3', 0, 0, 0, 0):
	case LETTERS('f', 'u', 's', 'e', 0, 0, 0, 0):
	case LETTERS('v', 'i', 'r', 't', 'i', 'o', 'f', 0):
	case LETTERS('p', 'v', 'f', 's', '2', 0, 0, 0):
	case LETTERS('o', 'c', 'f', 's', '2', 0, 0, 0):
	case LETTERS('g', 'f', 's', '2', 0, 0, 0, 0):
		return true;
	}
	return false;
}

static __always_inline void on_last_close(struct file *file)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct shared_file_written *record;
	u16 mode = BPF_CORE_READ(inode, i_mode);
	struct super_block *fs = BPF_CORE_READ(inode, i_sb);
	struct told_key key = {};
	u32 magic, zero = 0;
	char *scratch;
	u64 now;

	if ((mode & INODE_TYPE_MASK) != INODE_TYPE_REGULAR)
		return;
	magic = BPF_CORE_READ(fs, s_magic);
	if (!(shared_fs_magic_extra && magic == shared_fs_magic_extra) &&
	    !is_shared_type(BPF_CORE_READ(fs, s_type, name)))
		return;
	/* In a thread of the kernel: closed late, for a process that nobody knows any more. */
	if ((task->flags & TASK_FLAG_KERNEL_THREAD) || !scope_has_current())
		return;
	key.start_time = task->group_leader->start_boottime;
	key.pid = task->tgid;
	key.object = BPF_CORE_READ(inode, i_ino);
	key.device = BPF_CORE_READ(fs, s_dev);
	now = bpf_ktime_get_boot_ns();
	scratch = bpf_map_lookup_elem(&shared_file_scratch, &zero);
	if (!scratch || !told_first(&shared_files_told, &key, now, 0))
		return;
	record = record_reserve(KIND_SHARED_FILE_WRITTEN, sizeof(*record), now, cgroup_id_of(task));
	if (!record)
		return;
	identity_fill(&record->header, task);
	record->path_cut = path_read(file, scratch, record->path);
	record->inode = key.object;
	record->device = key.device;
	record->fs_magic = magic;
	record->executable = (mode & INODE_MAY_EXECUTE) != 0;
	record_submit(record);
}

SEC("fentry/__fput")
int BPF_PROG(shared_file_fentry, struct file *file)
{
	if (file->f_mode & FILE_MODE_WRITE)
		on_last_close(file);
	return 0;
}

SEC("kprobe/__fput")
int BPF_KPROBE(shared_file_kprobe, struct file *file)
{
	if (BPF_CORE_READ(file, f_mode) & FILE_MODE_WRITE)
		on_last_close(file);
	return 0;
}
