// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * As store_read, on kernels that have kprobes and no trampolines: the beginning of each call is
 * remembered for its end, of files that may belong to a store only.
 */
#include "store/inside.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline void begin_read(enum store_function function, struct kiocb *request,
				       struct iov_iter *iter)
{
	struct file *file = BPF_CORE_READ(request, ki_filp);
	struct store_call call = { .file = file, .request = request };

	if (!store_may_have_read(file))
		return;
	call.offset = BPF_CORE_READ(request, ki_pos);
	call.bytes = is_into_pipe(iter);
	store_call_begin(function, &call);
}

/* By how far the file was read, since the result of one holds what was read before. */
static __always_inline int end_read(enum store_function function, s64 result)
{
	struct store_call call;
	struct kiocb *request;
	u64 end;

	if (!store_call_end(function, &call) || result <= 0)
		return 0;
	request = call.request;
	end = BPF_CORE_READ(request, ki_pos);
	return store_read_ended(call.file, end, end - call.offset,
				call.bytes ? STORE_MECHANISM_SPLICE : STORE_MECHANISM_READ);
}

SEC("kprobe/filemap_read")
int BPF_KPROBE(store_read_kprobe, struct kiocb *request, struct iov_iter *iter)
{
	begin_read(STORE_CALL_READ, request, iter);
	return 0;
}

SEC("kretprobe/filemap_read")
int BPF_KRETPROBE(store_read_kretprobe, long result)
{
	return end_read(STORE_CALL_READ, result);
}

SEC("kprobe/shmem_file_read_iter")
int BPF_KPROBE(store_read_shmem_kprobe, struct kiocb *request, struct iov_iter *iter)
{
	begin_read(STORE_CALL_READ_MEMORY_FS, request, iter);
	return 0;
}

SEC("kretprobe/shmem_file_read_iter")
int BPF_KRETPROBE(store_read_shmem_kretprobe, long result)
{
	return end_read(STORE_CALL_READ_MEMORY_FS, result);
}

static __always_inline int begin_splice(enum store_function function, struct file *file,
					u64 *position)
{
	struct store_call call = { .file = file, .position = position };

	if (store_may_have_read(file))
		store_call_begin(function, &call);
	return 0;
}

static __always_inline int end_splice(enum store_function function, s64 result)
{
	struct store_call call;
	u64 end = 0;

	if (!store_call_end(function, &call) || result <= 0)
		return 0;
	bpf_probe_read_kernel(&end, sizeof(end), call.position);
	return store_read_ended(call.file, end, result, STORE_MECHANISM_SPLICE);
}

SEC("kprobe/filemap_splice_read")
int BPF_KPROBE(store_splice_kprobe, struct file *file, u64 *position)
{
	return begin_splice(STORE_CALL_SPLICE, file, position);
}

SEC("kretprobe/filemap_splice_read")
int BPF_KRETPROBE(store_splice_kretprobe, long result)
{
	return end_splice(STORE_CALL_SPLICE, result);
}

SEC("kprobe/shmem_file_splice_read")
int BPF_KPROBE(store_splice_shmem_kprobe, struct file *file, u64 *position)
{
	return begin_splice(STORE_CALL_SPLICE_MEMORY_FS, file, position);
}

SEC("kretprobe/shmem_file_splice_read")
int BPF_KRETPROBE(store_splice_shmem_kretprobe, long result)
{
	return end_splice(STORE_CALL_SPLICE_MEMORY_FS, result);
}

static __always_inline int on_mapped(struct vm_fault *fault, unsigned long address, u64 pages)
{
	struct vm_area_struct *area = BPF_CORE_READ(fault, vma);
	struct file *file = BPF_CORE_READ(area, vm_file);
	struct store_access access = { .file = file, .mechanism = STORE_MECHANISM_MMAP };

	if (!file || !store_may_have_read(file))
		return 0;
	access.bytes = pages * PAGE_BYTES;
	access.offset = address - BPF_CORE_READ(area, vm_start) +
			(BPF_CORE_READ(area, vm_pgoff) << PAGE_BITS);
	store_read_file(&access);
	return 0;
}

SEC("kprobe/set_pte_range")
int BPF_KPROBE(store_map_kprobe, struct vm_fault *fault, void *folio, void *page,
	       unsigned int pages, unsigned long address)
{
	return on_mapped(fault, address, pages);
}

SEC("kprobe/do_set_pte")
int BPF_KPROBE(store_map_page_kprobe, struct vm_fault *fault, void *page, unsigned long address)
{
	return on_mapped(fault, address, 1);
}

SEC("kprobe/security_file_open")
int BPF_KPROBE(store_open_kprobe, struct file *file)
{
	struct store_access access = {
		.file = file, .mechanism = STORE_MECHANISM_READ, .opened = 1,
	};

	if ((BPF_CORE_READ(file, f_mode) & FILE_MODE_READ) && store_may_have_read(file))
		store_read_file(&access);
	return 0;
}

static __always_inline int begin_copy(enum store_function function, struct file *from, u64 offset)
{
	struct store_call call = { .file = from, .offset = offset };

	if (store_may_have_read(from))
		store_call_begin(function, &call);
	return 0;
}

static __always_inline int end_copy(enum store_function function, s64 result)
{
	struct store_call call;

	if (!store_call_end(function, &call) || result <= 0)
		return 0;
	return store_read_ended(call.file, call.offset + result, result - (s64)call.bytes,
				STORE_MECHANISM_COPY);
}

SEC("kprobe/vfs_copy_file_range")
int BPF_KPROBE(store_copy_kprobe, struct file *from, u64 offset)
{
	return begin_copy(STORE_CALL_COPY, from, offset);
}

SEC("kretprobe/vfs_copy_file_range")
int BPF_KRETPROBE(store_copy_kretprobe, long result)
{
	return end_copy(STORE_CALL_COPY, result);
}

SEC("kprobe/vfs_clone_file_range")
int BPF_KPROBE(store_clone_kprobe, struct file *from, u64 offset)
{
	return begin_copy(STORE_CALL_CLONE, from, offset);
}

SEC("kretprobe/vfs_clone_file_range")
int BPF_KRETPROBE(store_clone_kretprobe, long result)
{
	return end_copy(STORE_CALL_CLONE, result);
}

/* At its beginning: nobody reads the file between that and the move. */
SEC("kprobe/d_move")
int BPF_KPROBE(store_move_kprobe, struct dentry *dentry)
{
	struct dentry___store *moved = (void *)dentry;

	if (store_device_of(BPF_CORE_READ(moved, d_sb, s_dev)))
		store_moved(moved);
	return 0;
}

SEC("kprobe/d_exchange")
int BPF_KPROBE(store_exchange_kprobe, struct dentry *dentry)
{
	struct dentry___store *moved = (void *)dentry;

	if (store_device_of(BPF_CORE_READ(moved, d_sb, s_dev)))
		store_labels_forget();
	return 0;
}

SEC("kprobe/mm_access")
int BPF_KPROBE(store_memory_access_kprobe, struct task_struct *owner)
{
	store_memory_begin(owner);
	return 0;
}

#if defined(__TARGET_ARCH_x86)
SEC("kretprobe/__x64_sys_process_vm_readv")
#else
SEC("kretprobe/__arm64_sys_process_vm_readv")
#endif
int BPF_KRETPROBE(store_memory_kretprobe, long result)
{
	return store_memory_end(result);
}
