/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Reads as the kernel's own functions see them; the same for trampolines and kprobes. */
#ifndef VEDETTE_STORE_INSIDE_BPF_H
#define VEDETTE_STORE_INSIDE_BPF_H

#include "file_types.bpf.h"
#include "read.bpf.h"

/* A read in progress of a thread, of which the return does not know the beginning. */
struct store_call {
	struct file *file;
	union {
		struct kiocb *request;
		struct vm_fault *fault;
	};
	u64 *position;
	u64 offset;
	/* Most that it can give. */
	u64 bytes;
};

/* Which function; a thread can be in several at once. */
enum store_function {
	STORE_CALL_READ,
	STORE_CALL_READ_MEMORY_FS,
	STORE_CALL_SPLICE,
	STORE_CALL_SPLICE_MEMORY_FS,
	STORE_CALL_DIRECT,
	STORE_CALL_COPY,
	STORE_CALL_CLONE,
	STORE_CALL_MEMORY,
	STORE_CALL_HUGE,
	/* Reads within it go into the memory of a GPU. */
	STORE_CALL_GPU,
};

struct store_call_key {
	u64 pid_tgid;
	u64 function;
};

/* As `calls` (calls.bpf.h), for calls that come much more often; only those on stores. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2048);
	__type(key, struct store_call_key);
	__type(value, struct store_call);
} store_calls __weak SEC(".maps");

static __always_inline void store_call_begin(enum store_function function,
					     const struct store_call *call)
{
	struct store_call_key key = { bpf_get_current_pid_tgid(), function };

	bpf_map_update_elem(&store_calls, &key, call, BPF_ANY);
}

static __always_inline bool store_call_end(enum store_function function, struct store_call *call)
{
	struct store_call_key key = { bpf_get_current_pid_tgid(), function };
	struct store_call *found = bpf_map_lookup_elem(&store_calls, &key);

	if (!found)
		return false;
	*call = *found;
	bpf_map_delete_elem(&store_calls, &key);
	return true;
}

/* What a copy in progress of this thread got by splice is no copy. */
static __always_inline void store_copy_spliced(u64 bytes)
{
	struct store_call_key key = { bpf_get_current_pid_tgid(), STORE_CALL_COPY };
	struct store_call *copy = bpf_map_lookup_elem(&store_calls, &key);

	if (copy)
		copy->bytes += bytes;
}

static __always_inline bool is_into_pipe(struct iov_iter *iter)
{
	if (!bpf_core_enum_value_exists(enum iter_type, ITER_PIPE))
		return false;
	return BPF_CORE_READ(iter, iter_type) == bpf_core_enum_value(enum iter_type, ITER_PIPE);
}

static __always_inline int store_read_ended(struct file *file, u64 end, s64 bytes, u8 mechanism)
{
	struct store_access access = { .file = file, .bytes = bytes, .mechanism = mechanism };

	if (bytes <= 0)
		return 0;
	access.offset = end - bytes;
	if (mechanism == STORE_MECHANISM_SPLICE)
		store_copy_spliced(bytes);
	store_read_file(&access);
	return 0;
}

/* As store_read_ended, of a file that the verifier trusts. */
static __always_inline int store_read_ended_of(struct file *file, u64 end, s64 bytes, u8 mechanism)
{
	if (mechanism != STORE_MECHANISM_SPLICE &&
	    store_read_fast(file, end - bytes, bytes, mechanism))
		return 0;
	return store_read_ended(file, end, bytes, mechanism);
}

/* A direct read begins. Its end may come in an interrupt: then what was asked for counts. */
static __always_inline void store_direct_begin(struct kiocb *request, struct iov_iter *iter)
{
	struct store_call call = { .request = request };
	struct file *file;

	/* A write. */
	if (BPF_CORE_READ(iter, data_source))
		return;
	file = BPF_CORE_READ(request, ki_filp);
	if (!store_may_have_read(file))
		return;
	call.file = file;
	call.offset = BPF_CORE_READ(request, ki_pos);
	call.bytes = BPF_CORE_READ(iter, count);
	store_call_begin(STORE_CALL_DIRECT, &call);
}

/* What a direct read asked for that the file has. */
static __always_inline s64 store_direct_asked(const struct store_call *call)
{
	struct file *file = call->file;
	struct inode___store *inode = (void *)BPF_CORE_READ(file, f_inode);
	u64 size = BPF_CORE_READ(inode, i_size);

	if (size <= call->offset)
		return 0;
	return size - call->offset < call->bytes ? size - call->offset : call->bytes;
}

/* A direct read that the driver of GPUDirect Storage asks for, in the thread of its caller. */
static __always_inline u8 store_direct_mechanism(void)
{
	struct store_call_key key = { bpf_get_current_pid_tgid(), STORE_CALL_GPU };

	return bpf_map_lookup_elem(&store_calls, &key) ? STORE_MECHANISM_GPU_DIRECT :
							 STORE_MECHANISM_DIRECT;
}

/* Its end, by how far the file was read: the result may hold what was read before. */
static __always_inline int store_direct_end(s64 result)
{
	struct store_call call;
	struct kiocb *request;
	s64 bytes;

	if (!store_call_end(STORE_CALL_DIRECT, &call) || (result <= 0 && result != READ_QUEUED))
		return 0;
	request = call.request;
	bytes = result == READ_QUEUED ? store_direct_asked(&call) :
					BPF_CORE_READ(request, ki_pos) - call.offset;
	return store_read_ended(call.file, call.offset + bytes, bytes, store_direct_mechanism());
}

/* As store_direct_end, of functions that leave it to their caller to note how far it was read. */
static __always_inline int store_direct_end_by(s64 result)
{
	struct store_call call;

	if (!store_call_end(STORE_CALL_DIRECT, &call))
		return 0;
	if (result == READ_QUEUED)
		result = store_direct_asked(&call);
	return store_read_ended(call.file, call.offset + result, result,
				store_direct_mechanism());
}

/* The memory of a process that read stores is about to be read by another one. */
static __always_inline void store_memory_begin(struct task_struct *owner)
{
	struct store_process_key key = {};
	struct store_call call = {};

	key.start_time = BPF_CORE_READ(owner, group_leader, start_boottime);
	key.pid = BPF_CORE_READ(owner, tgid);
	if (key.pid == bpf_get_current_pid_tgid() >> 32 ||
	    !bpf_map_lookup_elem(&store_processes, &key))
		return;
	call.offset = key.start_time;
	call.bytes = key.pid;
	store_call_begin(STORE_CALL_MEMORY, &call);
}

/* By number, and start, of the process whose memory it was. */
static __always_inline int store_memory_read(u32 pid, u64 start_time, s64 bytes)
{
	struct store_access access = { .mechanism = STORE_MECHANISM_PROCESS_MEMORY };
	struct store_process_key key = { .start_time = start_time, .pid = pid };
	struct store_process *process;

	if (bytes <= 0 || pid == bpf_get_current_pid_tgid() >> 32)
		return 0;
	process = bpf_map_lookup_elem(&store_processes, &key);
	if (!process)
		return 0;
	access.bytes = bytes;
	access.owner_pid = pid;
	access.owner_start_time = start_time;
	access.store = process->store;
	store_read_note(&access);
	return 0;
}

static __always_inline int store_memory_end(s64 bytes)
{
	struct store_call call;

	if (!store_call_end(STORE_CALL_MEMORY, &call))
		return 0;
	return store_memory_read(call.bytes, call.offset, bytes);
}

/* /proc/PID/mem. */
static __always_inline int store_memory_file_read(struct file *file, s64 bytes, int is_write)
{
	struct mm_struct___owner *memory = (void *)BPF_CORE_READ(file, private_data);
	struct task_struct *owner;

	if (is_write || bytes <= 0 || !memory || !bpf_core_field_exists(memory->owner))
		return 0;
	owner = BPF_CORE_READ(memory, owner);
	if (!owner)
		return 0;
	return store_memory_read(BPF_CORE_READ(owner, tgid),
				 BPF_CORE_READ(owner, group_leader, start_boottime), bytes);
}

#endif
