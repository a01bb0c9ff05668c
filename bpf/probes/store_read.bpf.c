// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Reads of stores, in the functions of the kernel through which they all go, whatever system call,
 * ring or descriptor asked for them: out of the page cache, past it, into a mapping, into a pipe.
 * Each with what it really gave.
 *
 * Not seen: file systems that read by functions of their own, such as FUSE with direct_io, WekaFS,
 * and NFS with O_DIRECT; huge pages of mappings; memory that ptrace() takes word by word.
 */
#include "store/inside.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("fexit/filemap_read")
int BPF_PROG(store_read_fexit, struct kiocb *request, struct iov_iter *iter, long before,
	     long result)
{
	struct file *file = request->ki_filp;

	if (result <= before)
		return 0;
	return store_read_ended_of(file, request->ki_pos, result - before,
				   is_into_pipe(iter) ? STORE_MECHANISM_SPLICE : STORE_MECHANISM_READ);
}

SEC("fexit/shmem_file_read_iter")
int BPF_PROG(store_read_shmem_fexit, struct kiocb *request, struct iov_iter *iter, long result)
{
	struct file *file = request->ki_filp;

	if (result <= 0)
		return 0;
	return store_read_ended_of(file, request->ki_pos, result,
				   is_into_pipe(iter) ? STORE_MECHANISM_SPLICE : STORE_MECHANISM_READ);
}

static __always_inline int on_splice(struct file *file, const s64 *position, long result)
{
	u64 end = 0;

	if (result <= 0 || !store_may_have(file))
		return 0;
	bpf_probe_read_kernel(&end, sizeof(end), position);
	return store_read_ended(file, end, result, STORE_MECHANISM_SPLICE);
}

/* From Linux 6.5 on. */
SEC("fexit/filemap_splice_read")
int BPF_PROG(store_splice_fexit, struct file *file, const s64 *position, void *pipe,
	     unsigned long bytes, unsigned int flags, long result)
{
	return on_splice(file, position, result);
}

SEC("fexit/shmem_file_splice_read")
int BPF_PROG(store_splice_shmem_fexit, struct file *file, const s64 *position, void *pipe,
	     unsigned long bytes, unsigned int flags, long result)
{
	return on_splice(file, position, result);
}

/* A kprobe in every way: a trampoline takes so many arguments from Linux 6.6 on only. */
SEC("kprobe/iomap_dio_rw")
int BPF_KPROBE(store_direct_kprobe, struct kiocb *request, struct iov_iter *iter)
{
	store_direct_begin(request, iter);
	return 0;
}

SEC("kretprobe/iomap_dio_rw")
int BPF_KRETPROBE(store_direct_kretprobe, long result)
{
	return store_direct_end(result);
}

static __always_inline int on_mapped(struct vm_fault *fault, unsigned long address, u64 pages)
{
	struct vm_area_struct *area = fault->vma;
	struct file *file = area->vm_file;
	struct store_access access = { .mechanism = STORE_MECHANISM_MMAP };

	if (!file || !store_may_have(file))
		return 0;
	access.file = file;
	access.bytes = pages * PAGE_BYTES;
	access.offset = address - area->vm_start + (area->vm_pgoff << PAGE_BITS);
	store_read_file(&access);
	return 0;
}

/* From Linux 6.6 on. */
SEC("fentry/set_pte_range")
int BPF_PROG(store_map_fentry, struct vm_fault *fault, void *folio, void *page, unsigned int pages,
	     unsigned long address)
{
	return on_mapped(fault, address, pages);
}

SEC("fentry/do_set_pte")
int BPF_PROG(store_map_page_fentry, struct vm_fault *fault, void *page, unsigned long address)
{
	return on_mapped(fault, address, 1);
}

SEC("fentry/security_file_open")
int BPF_PROG(store_open_fentry, struct file *file)
{
	struct store_access access = { .mechanism = STORE_MECHANISM_READ, .opened = 1 };

	if (!(file->f_mode & FILE_MODE_READ) || !store_may_have(file))
		return 0;
	access.file = file;
	store_read_file(&access);
	return 0;
}

SEC("fentry/vfs_copy_file_range")
int BPF_PROG(store_copy_fentry, struct file *from)
{
	struct store_call call = {};

	if (store_may_have(from))
		store_call_begin(STORE_CALL_COPY, &call);
	return 0;
}

SEC("fexit/vfs_copy_file_range")
int BPF_PROG(store_copy_fexit, struct file *from, s64 offset, struct file *to, s64 to_offset,
	     unsigned long bytes, unsigned int flags, long result)
{
	struct store_call call;

	if (!store_may_have(from) || !store_call_end(STORE_CALL_COPY, &call) || result <= 0)
		return 0;
	return store_read_ended(from, offset + result, result - (s64)call.bytes,
				STORE_MECHANISM_COPY);
}

SEC("fexit/vfs_clone_file_range")
int BPF_PROG(store_clone_fexit, struct file *from, s64 offset, struct file *to, s64 to_offset,
	     s64 bytes, unsigned int flags, s64 result)
{
	if (result <= 0 || !store_may_have(from))
		return 0;
	return store_read_ended(from, offset + result, result, STORE_MECHANISM_COPY);
}

SEC("fexit/d_move")
int BPF_PROG(store_move_fexit, struct dentry *dentry)
{
	struct dentry___store *moved = (void *)dentry;

	if (store_device_of(moved->d_sb->s_dev))
		store_moved(moved);
	return 0;
}

SEC("fexit/d_exchange")
int BPF_PROG(store_exchange_fexit, struct dentry *dentry)
{
	struct dentry___store *moved = (void *)dentry;

	if (store_device_of(moved->d_sb->s_dev))
		store_labels_forget();
	return 0;
}

SEC("fexit/mm_access")
int BPF_PROG(store_memory_access_fexit, struct task_struct *owner)
{
	store_memory_begin(owner);
	return 0;
}

#if defined(__TARGET_ARCH_x86)
SEC("fexit/__x64_sys_process_vm_readv")
#else
SEC("fexit/__arm64_sys_process_vm_readv")
#endif
int BPF_PROG(store_memory_fexit, void *registers, long result)
{
	return store_memory_end(result);
}

SEC("fexit/mem_rw")
int BPF_PROG(store_memory_file_fexit, struct file *file, void *buffer, unsigned long bytes,
	     s64 *position, int is_write, long result)
{
	return store_memory_file_read(file, result, is_write);
}
