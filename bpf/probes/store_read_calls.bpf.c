// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Reads of stores, where the kernel shows nothing better than the end of system calls, of requests
 * of io_uring, and faults of mappings. The first runs at every system call of the node: attached
 * only while there is a store.
 *
 * Not seen: what 32-bit programs read, and files of which the descriptor was closed while a call
 * read from it. Of AIO the requests are counted, not what came of them.
 */
#include "descriptor.bpf.h"
#include "store/inside.bpf.h"
#include "store/system_call.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Requests of one io_submit() that are looked at. */
#define AIO_REQUESTS 64
#define AIO_READ 0
#define RING_READ_VECTORS 1
#define RING_READ_FIXED 4
#define RING_READ 22
#define RING_READ_MULTISHOT 49

/* struct xarray, of a page cache (linux/xarray.h). */
#define CACHE_LEVELS 8
#define CACHE_SLOTS 64
#define CACHE_NODE 2
#define CACHE_SIBLING_MAX 4096
/* In the first word of a folio: PG_head. */
#define FOLIO_IS_LARGE 0x40

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct io_kiocb {
	struct file *file;
	u8 opcode;
};

struct io_uring_cqe {
	s32 res;
};

#pragma clang attribute pop

/* Of the kernel's user interface (linux/aio_abi.h). */
struct aio_request {
	u64 data;
	u32 key;
	u32 flags;
	u16 opcode;
	u16 priority;
	u32 fd;
	u64 buffer;
	u64 bytes;
	u64 offset;
};

/* Where a read began. */
enum position {
	/* Where the file stands, less what was read. */
	POSITION_OF_FILE,
	/* Where an argument points to, likewise; or, when it is 0, where the file stands. */
	POSITION_AT,
	/* As the argument says; of the file when that is -1. */
	POSITION_GIVEN,
};

static __always_inline u64 position_of(struct file *file, enum position kind, u64 argument,
				       u64 bytes)
{
	struct file___position *with_position = (void *)file;
	u64 at = 0;

	if (kind == POSITION_GIVEN && argument != ~0ull)
		return argument;
	if (kind == POSITION_AT && argument)
		bpf_probe_read_user(&at, sizeof(at), (void *)argument);
	else
		at = BPF_CORE_READ(with_position, f_pos);
	return at - bytes;
}

/* Counts what was read from a file, if it belongs to a store. */
static __always_inline int note_file(struct store_access *access, struct file *file)
{
	struct file___position *with_flags = (void *)file;

	if (!store_may_have_read(file))
		return 0;
	access->file = file;
	if (access->mechanism == STORE_MECHANISM_READ &&
	    (BPF_CORE_READ(with_flags, f_flags) & FILE_FLAG_DIRECT))
		access->mechanism = STORE_MECHANISM_DIRECT;
	return store_read_file(access);
}

/* As note_read: nearly all reads of a node end here, and nearly all of them at once. */
static __always_inline int note_read_fast(u32 fd, u64 bytes, enum position kind, u64 argument)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct file *address = file_of_task(task, fd), *file;
	struct file___position *position;
	struct store_access access;
	u32 store;
	bool known;

	if (!address)
		return 0;
	file = bpf_rdonly_cast(address, bpf_core_type_id_kernel(struct file));
	known = store_known(file, &store);
	if (known && !store)
		return 0;
	__builtin_memset(&access, 0, sizeof(access));
	position = (void *)file;
	access.offset = kind == POSITION_GIVEN && argument != ~0ull ? argument :
								       position->f_pos - bytes;
	access.mechanism = position->f_flags & FILE_FLAG_DIRECT ? STORE_MECHANISM_DIRECT :
								  STORE_MECHANISM_READ;
	if (known && store_read_known(task, store, file, access.offset, bytes, access.mechanism))
		return 0;
	access.file = address;
	access.bytes = bytes;
	return store_read_file(&access);
}

static __always_inline int note_read(u32 fd, u64 bytes, u8 mechanism, enum position kind,
				     u64 argument)
{
	struct store_access access = { .bytes = bytes, .mechanism = mechanism };
	struct file *file;

	/* The end of a file, and errors. */
	if ((s64)bytes <= 0)
		return 0;
	file = file_of_descriptor(fd);
	if (!file || !store_may_have_read(file))
		return 0;
	access.offset = position_of(file, kind, argument, bytes);
	return note_file(&access, file);
}

/* `cast`: this kernel can read a file without a helper. Most that are opened are of no store. */
static __always_inline int note_open(u32 fd, bool cast)
{
	struct store_access access = { .opened = 1, .mechanism = STORE_MECHANISM_READ };
	struct file *address, *file;
	u32 store;

	if (!cast) {
		file = file_of_descriptor(fd);
		if (!file || !(BPF_CORE_READ(file, f_mode) & FILE_MODE_READ))
			return 0;
		return note_file(&access, file);
	}
	address = file_of_task(bpf_get_current_task_btf(), fd);
	if (!address)
		return 0;
	file = bpf_rdonly_cast(address, bpf_core_type_id_kernel(struct file));
	if (!(file->f_mode & FILE_MODE_READ) || (store_known(file, &store) && !store))
		return 0;
	return note_file(&access, address);
}

static __noinline int note_aio(u64 requests, u64 count)
{
	struct store_access access;
	struct aio_request request;
	struct inode___store *inode;
	struct file *file;
	u64 at, size;

	for (u32 i = 0; i < AIO_REQUESTS && i < count; i++) {
		if (bpf_probe_read_user(&at, sizeof(at), (void *)(requests + i * sizeof(at))) ||
		    bpf_probe_read_user(&request, sizeof(request), (void *)at))
			return 0;
		file = request.opcode == AIO_READ ? file_of_descriptor(request.fd) : NULL;
		if (!file)
			continue;
		inode = (void *)BPF_CORE_READ(file, f_inode);
		size = BPF_CORE_READ(inode, i_size);
		if (size <= request.offset)
			continue;
		size -= request.offset;
		__builtin_memset(&access, 0, sizeof(access));
		access.bytes = request.bytes < size ? request.bytes : size;
		access.offset = request.offset;
		access.mechanism = STORE_MECHANISM_READ;
		note_file(&access, file);
	}
	return 0;
}

/*
 * process_vm_readv(). The number that it was given means the same process to us only where numbers
 * are those of the node.
 */
static __always_inline int note_memory(u32 pid, long result)
{
	struct task_struct___place *place = (void *)bpf_get_current_task_btf();
	u64 *start_time = bpf_map_lookup_elem(&store_process_starts, &pid);

	if (!start_time || BPF_CORE_READ(place, thread_pid, level) > 0)
		return 0;
	return store_memory_read(pid, *start_time, result);
}

/* All but reads, which are the many. */
static __always_inline int note_call(u64 number, struct pt_regs *registers, long result, bool cast)
{
	u64 first = CALL_ARGUMENT_1(registers);

	switch (number) {
	case CALL_SENDFILE:
		return note_read(CALL_ARGUMENT_2(registers), result, STORE_MECHANISM_SPLICE,
				 POSITION_AT, CALL_ARGUMENT_3(registers));
	case CALL_SPLICE:
		return note_read(first, result, STORE_MECHANISM_SPLICE, POSITION_AT,
				 CALL_ARGUMENT_2(registers));
	case CALL_COPY_FILE_RANGE:
		return note_read(first, result, STORE_MECHANISM_COPY, POSITION_AT,
				 CALL_ARGUMENT_2(registers));
	case CALL_OPEN:
	case CALL_OPENAT:
	case CALL_OPENAT2:
	case CALL_OPEN_BY_HANDLE:
		return note_open(result, cast);
	case CALL_PROCESS_VM_READV:
		return note_memory(first, result);
	case CALL_IO_SUBMIT:
		return note_aio(CALL_ARGUMENT_3(registers), result);
	case CALL_RENAME:
	case CALL_RENAMEAT:
	case CALL_RENAMEAT2:
		store_labels_forget();
	}
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(store_read_sys_exit, struct pt_regs *registers, long result)
{
	u64 number = CALL_NUMBER(registers);

	if (result < 0 || CALL_IS_32_BIT(registers))
		return 0;
	switch (number) {
	case CALL_READ:
	case CALL_READV:
		/* The end of a file. */
		if (!result)
			return 0;
		return note_read_fast(CALL_ARGUMENT_1(registers), result, POSITION_OF_FILE, 0);
	case CALL_PREAD64:
	case CALL_PREADV:
	case CALL_PREADV2:
		if (!result)
			return 0;
		return note_read_fast(CALL_ARGUMENT_1(registers), result, POSITION_GIVEN,
				      CALL_ARGUMENT_4(registers));
	}
	return note_call(number, registers, result, true);
}

/* Before Linux 6.2. */
SEC("tp_btf/sys_exit")
int BPF_PROG(store_read_sys_exit_slow, struct pt_regs *registers, long result)
{
	u64 number = CALL_NUMBER(registers);

	if (result < 0 || CALL_IS_32_BIT(registers))
		return 0;
	switch (number) {
	case CALL_READ:
	case CALL_READV:
		return note_read(CALL_ARGUMENT_1(registers), result, STORE_MECHANISM_READ,
				 POSITION_OF_FILE, 0);
	case CALL_PREAD64:
	case CALL_PREADV:
	case CALL_PREADV2:
		return note_read(CALL_ARGUMENT_1(registers), result, STORE_MECHANISM_READ,
				 POSITION_GIVEN, CALL_ARGUMENT_4(registers));
	}
	return note_call(number, registers, result, false);
}

static __always_inline int on_ring(struct io_kiocb *request, s32 result)
{
	struct store_access access = { .mechanism = STORE_MECHANISM_READ };
	struct kiocb *read = (void *)request;
	struct file *file;

	if (!request || result <= 0)
		return 0;
	switch (BPF_CORE_READ(request, opcode)) {
	case RING_READ:
	case RING_READ_FIXED:
	case RING_READ_VECTORS:
	case RING_READ_MULTISHOT:
		break;
	default:
		return 0;
	}
	/* The file is the first of a request, whatever it asks for. */
	file = BPF_CORE_READ(read, ki_filp);
	if (!file)
		return 0;
	access.bytes = result;
	access.offset = BPF_CORE_READ(read, ki_pos) - result;
	return note_file(&access, file);
}

SEC("tp_btf/io_uring_complete")
int BPF_PROG(store_read_ring, void *ring, struct io_kiocb *request, struct io_uring_cqe *completion)
{
	return on_ring(request, completion->res);
}

/* Before Linux 6.15. */
SEC("tp_btf/io_uring_complete")
int BPF_PROG(store_read_ring_result, void *ring, struct io_kiocb *request, u64 user_data,
	     int result)
{
	return on_ring(request, result);
}

/* What the page cache holds of a file at a page: a folio; NULL when there is none. */
static __always_inline struct folio *folio_at(struct address_space *mapping, u64 page)
{
	u64 entry = (u64)BPF_CORE_READ(mapping, i_pages.xa_head), slot;
	struct xa_node *node;

	for (int i = 0; i < CACHE_LEVELS; i++) {
		if ((entry & 3) != CACHE_NODE || entry <= CACHE_SIBLING_MAX)
			break;
		node = (void *)(entry - CACHE_NODE);
		slot = page >> BPF_CORE_READ(node, shift) & (CACHE_SLOTS - 1);
		bpf_probe_read_kernel(&entry, sizeof(entry), &node->slots[slot]);
		/* A folio that fills several slots is in the first. */
		if ((entry & 3) == CACHE_NODE && entry <= CACHE_SIBLING_MAX)
			bpf_probe_read_kernel(&entry, sizeof(entry),
					      &node->slots[entry >> 2 & (CACHE_SLOTS - 1)]);
	}
	return entry & 3 ? NULL : (struct folio *)entry;
}

/*
 * Pages of a file were mapped: those from `first` to `last` or, where these are part of a larger
 * folio, all of it.
 */
static __always_inline int on_pages(struct address_space *mapping, u64 first, u64 last)
{
	struct store_access access = { .mechanism = STORE_MECHANISM_MMAP, .once = 1 };
	struct store_device *device = store_device_of(mapping->host->i_sb->s_dev);
	struct inode___store *inode;
	struct folio *folio;
	u64 flags = 0, end, size;

	if (!device)
		return 0;
	inode = (void *)BPF_CORE_READ(mapping, host);
	access.store = store_on_device(device, inode, NULL);
	if (!access.store)
		return 0;
	folio = folio_at(mapping, first);
	bpf_probe_read_kernel(&flags, sizeof(flags), folio);
	if (folio && flags & FOLIO_IS_LARGE && bpf_core_field_exists(folio->_nr_pages)) {
		first = BPF_CORE_READ(folio, index);
		end = first + BPF_CORE_READ(folio, _nr_pages) - 1;
		last = last > end ? last : end;
	}
	size = (u64)BPF_CORE_READ(inode, i_size) + PAGE_BYTES - 1;
	end = (last + 1) * PAGE_BYTES;
	access.inode = (void *)inode;
	access.offset = first * PAGE_BYTES;
	access.bytes = (end < size ? end : size & ~(PAGE_BYTES - 1ull)) - access.offset;
	return store_read_note(&access);
}

SEC("tp_btf/mm_filemap_map_pages")
int BPF_PROG(store_read_map_pages, struct address_space *mapping, unsigned long first,
	     unsigned long last)
{
	return on_pages(mapping, first, last);
}

SEC("tp_btf/mm_filemap_fault")
int BPF_PROG(store_read_fault, struct address_space *mapping, unsigned long page)
{
	return on_pages(mapping, page, page);
}
