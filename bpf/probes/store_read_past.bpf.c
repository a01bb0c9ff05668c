// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Reads of stores that go past the page cache and past iomap_dio_rw: file systems and disks that
 * have functions of their own for it, most of them in modules. And huge pages of mappings.
 *
 * Kprobes, also where trampolines can be had: a kprobe lets the module go, and needs no types of
 * it. A direct read costs so much that this is nothing.
 */
#include "store/inside.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define HUGE_PAGE_BYTES (2ull << 20)

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* Of the module fuse, which may be built in. */
struct fuse_io_priv {
	struct kiocb *iocb;
};

#pragma clang attribute pop

/* A function that is asked for a read with (request, iter), and gives bytes. */
#define PAST_CACHE(name, function)                                                                 \
	SEC("kprobe/" function)                                                                    \
	int BPF_KPROBE(name##_kprobe, struct kiocb *request, struct iov_iter *iter)                \
	{                                                                                          \
		store_direct_begin(request, iter);                                                 \
		return 0;                                                                          \
	}                                                                                          \
	SEC("kretprobe/" function)                                                                 \
	int BPF_KRETPROBE(name##_kretprobe, long result)                                           \
	{                                                                                          \
		return store_direct_end_by(result);                                                \
	}

PAST_CACHE(store_nfs, "nfs_file_direct_read")
/* 9P from Linux 6.8 on, SMB from 6.10 on. Both may be there: the one that ends first counts. */
PAST_CACHE(store_9p_shared, "netfs_unbuffered_read_iter")
PAST_CACHE(store_smb_shared, "netfs_unbuffered_read_iter")
/* Until then each has its own. Of 9P: without a cache, past it, and with one of mappings alone. */
PAST_CACHE(store_9p, "v9fs_file_read_iter")
PAST_CACHE(store_9p_direct, "v9fs_direct_IO")
PAST_CACHE(store_9p_mapped, "v9fs_mmap_file_read_iter")
PAST_CACHE(store_smb, "__cifs_readv")

/* The node of a disk. What is left over is read through the page cache, and counted there. */
SEC("kprobe/blkdev_read_iter")
int BPF_KPROBE(store_disk_kprobe, struct kiocb *request, struct iov_iter *iter)
{
	if (BPF_CORE_READ(request, ki_flags) & REQUEST_DIRECT)
		store_direct_begin(request, iter);
	return 0;
}

SEC("kretprobe/blkdev_read_iter")
int BPF_KRETPROBE(store_disk_kretprobe, long result)
{
	return store_direct_end_by(result);
}

SEC("kprobe/fuse_direct_io")
int BPF_KPROBE(store_fuse_kprobe, struct fuse_io_priv *io, struct iov_iter *iter)
{
	store_direct_begin(BPF_CORE_READ(io, iocb), iter);
	return 0;
}

SEC("kretprobe/fuse_direct_io")
int BPF_KRETPROBE(store_fuse_kretprobe, long result)
{
	return store_direct_end_by(result);
}

/*
 * GPUDirect Storage: the driver reads the file in the thread that asked, past the page cache, and
 * its pages are those of a GPU.
 */
SEC("kprobe/nvfs_io_start_op")
int BPF_KPROBE(store_gpu_kprobe)
{
	struct store_call call = {};

	store_call_begin(STORE_CALL_GPU, &call);
	return 0;
}

SEC("kretprobe/nvfs_io_start_op")
int BPF_KRETPROBE(store_gpu_kretprobe)
{
	struct store_call call;

	store_call_end(STORE_CALL_GPU, &call);
	return 0;
}

/* A huge page was mapped, of which the end of the file may be the smaller part. */
static __always_inline int on_huge(struct vm_fault *fault)
{
	struct vm_area_struct *area = BPF_CORE_READ(fault, vma);
	struct file *file = BPF_CORE_READ(area, vm_file);
	struct store_access access = { .file = file, .mechanism = STORE_MECHANISM_MMAP };
	struct inode___store *inode;
	u64 address, size;

	if (!file || !store_may_have_read(file))
		return 0;
	inode = (void *)BPF_CORE_READ(file, f_inode);
	size = BPF_CORE_READ(inode, i_size);
	address = BPF_CORE_READ(fault, address) & ~(HUGE_PAGE_BYTES - 1);
	access.offset = address - BPF_CORE_READ(area, vm_start) +
			(BPF_CORE_READ(area, vm_pgoff) << PAGE_BITS);
	if (access.offset >= size)
		return 0;
	access.bytes = size - access.offset < HUGE_PAGE_BYTES ? size - access.offset :
								HUGE_PAGE_BYTES;
	store_read_file(&access);
	return 0;
}

SEC("fexit/do_set_pmd")
int BPF_PROG(store_huge_fexit, struct vm_fault *fault, void *page, unsigned int result)
{
	return result ? 0 : on_huge(fault);
}

SEC("kprobe/do_set_pmd")
int BPF_KPROBE(store_huge_kprobe, struct vm_fault *fault)
{
	struct vm_area_struct *area = BPF_CORE_READ(fault, vma);
	struct file *file = BPF_CORE_READ(area, vm_file);
	struct store_call call = { .fault = fault };

	if (file && store_may_have_read(file))
		store_call_begin(STORE_CALL_HUGE, &call);
	return 0;
}

SEC("kretprobe/do_set_pmd")
int BPF_KRETPROBE(store_huge_kretprobe, unsigned int result)
{
	struct store_call call;

	if (!store_call_end(STORE_CALL_HUGE, &call) || result)
		return 0;
	return on_huge(call.fault);
}
