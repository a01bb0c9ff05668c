/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Types of the kernel's file reads that nobody else asks for. */
#ifndef VEDETTE_STORE_FILE_TYPES_BPF_H
#define VEDETTE_STORE_FILE_TYPES_BPF_H

#include "kernel.bpf.h"

#define PAGE_BYTES 4096
#define PAGE_BITS 12
#define FILE_MODE_READ 1
/* The kernel goes on with a read and tells its end later. Only inside the kernel. */
#define READ_QUEUED (-529)
/* kiocb.ki_flags: past the page cache. */
#define REQUEST_DIRECT (1 << 17)

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kiocb {
	struct file *ki_filp;
	s64 ki_pos;
	int ki_flags;
};

/* Until Linux 6.4: into a pipe, with the same function as into memory. */
enum iter_type {
	ITER_PIPE = 3,
};

struct iov_iter {
	u8 iter_type;
	bool data_source;
	unsigned long count;
};

struct vm_area_struct {
	unsigned long vm_start;
	unsigned long vm_pgoff;
	struct file *vm_file;
};

struct vm_fault {
	struct vm_area_struct *vma;
	unsigned long address;
};

struct mm_struct___owner {
	struct task_struct *owner;
};

struct xarray {
	void *xa_head;
};

struct xa_node {
	u8 shift;
	void *slots[64];
};

struct address_space {
	struct inode *host;
	struct xarray i_pages;
};

struct folio {
	unsigned long index;
	u32 _nr_pages;
};

struct file___position {
	unsigned int f_flags;
	s64 f_pos;
};

#pragma clang attribute pop

#endif
