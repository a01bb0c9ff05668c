/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Calls to drivers of the GPU's surface, counted per process, device, command and aim. */
#ifndef VEDETTE_GPU_CALL_BPF_H
#define VEDETTE_GPU_CALL_BPF_H

#include "capability.bpf.h"
#include "container.bpf.h"
#include "device.bpf.h"
#include "identity.bpf.h"
#include "memory.bpf.h"
#include "record.bpf.h"

/* One call, decoded. */
struct gpu_request {
	/* The file that it was made on; 0 when it is not known. */
	u64 file;
	u32 device;
	u32 escape;
	u32 command;
	u32 args_bytes;
	u32 params_bytes;
	u32 client;
	u32 object;
	/* Client that the call names beside its own; or the owner of the file that it names. */
	u32 target_client;
	u32 target_pid;
	u32 value;
	/* Descriptor that the call names: of another address space of unified memory. */
	int target_fd;
	u8 call_kind;
	u8 family;
	u8 wrapped;
	u8 unread;
	u8 has_value;
	u8 aims_at_file;
	u8 changed_underway;
};

static __always_inline struct gpu_call_account *gpu_call_account(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&gpu_call_accounts, &zero);
}

static __always_inline void gpu_process_of(struct gpu_process *process, struct task_struct *task)
{
	process->start_time = task->group_leader->start_boottime;
	process->pid = task->tgid;
	process->_pad = 0;
}

/* `record` is zeroed. Amounts are those since the last report. */
static __always_inline void gpu_call_fill(struct gpu_call *record, const struct gpu_call_key *key,
					  const struct gpu_call_entry *entry, u64 jiffy_ns,
					  u8 report)
{
	identity_copy(&record->header, &entry->who);
	record->count = entry->count - entry->count_reported;
	if (entry->first && entry->latest > entry->first)
		record->duration_ns = (entry->latest - entry->first) * jiffy_ns;
	record->refused = entry->refused - entry->refused_reported;
	record->wrapped = entry->wrapped - entry->wrapped_reported;
	record->unread = entry->unread - entry->unread_reported;
	record->target_start_time = entry->target_start_time;
	record->target_pid = entry->target_pid;
	record->device = key->device;
	record->escape = key->escape;
	record->command = key->command;
	record->args_bytes = entry->args_bytes;
	record->params_bytes = entry->params_bytes;
	record->client = entry->client;
	record->target_client = key->by_pid ? 0 : key->target;
	record->value = key->value;
	record->call_kind = key->call_kind;
	record->family = entry->family;
	record->cap_sys_admin = entry->cap_sys_admin;
	record->in_container = entry->in_container;
	record->has_value = key->has_value;
	record->changed_underway = entry->changed_underway;
	record->report = report;
}

/* One call more. Several CPUs do this at once. */
static __always_inline void gpu_call_count(struct gpu_call_entry *entry,
					   const struct gpu_request *request)
{
	u64 now = bpf_jiffies64();

	entry->latest = now;
	if (!entry->first)
		entry->first = now;
	__sync_fetch_and_add(&entry->count, 1);
	if (request->wrapped)
		__sync_fetch_and_add(&entry->wrapped, 1);
	if (request->unread)
		__sync_fetch_and_add(&entry->unread, 1);
	/* Written only when they change: others count on this cache line, too. */
	if (entry->params_bytes != request->params_bytes)
		entry->params_bytes = request->params_bytes;
	if (entry->args_bytes != request->args_bytes)
		entry->args_bytes = request->args_bytes;
	if (entry->client != request->client)
		entry->client = request->client;
}

static __always_inline void gpu_call_remove(const struct gpu_call_key *key)
{
	struct gpu_call_account *account = gpu_call_account();

	/* Only what was there: it may have been evicted meanwhile. */
	if (bpf_map_delete_elem(&gpu_calls, key) == 0 && account)
		__sync_fetch_and_add(&account->removed, 1);
}

/* Tells the first call; what is counted after it belongs to the next report. */
static __always_inline void gpu_call_tell(const struct gpu_call_key *key,
					  const struct gpu_call_entry *entry,
					  const struct gpu_request *request, u64 now)
{
	struct gpu_call *record;

	record = record_reserve(KIND_GPU_CALL, sizeof(*record), now, entry->who.cgroup_id);
	if (!record)
		return;
	gpu_call_fill(record, key, entry, 0, FLOW_REPORT_FIRST);
	record->count = 1;
	record->wrapped = request->wrapped;
	record->unread = request->unread;
	record->duration_ns = 0;
	record_submit(record);
}

/* The process whose client handle this is; false when nobody alive is known to own it. */
static __always_inline bool gpu_client_owner(u32 client, struct gpu_process *owner)
{
	struct gpu_process *found = bpf_map_lookup_elem(&gpu_clients, &client);

	if (!found)
		return false;
	*owner = *found;
	return !bpf_map_lookup_elem(&gpu_processes_ended, owner);
}

/* What a new entry is made of: too large for the stack. Never written. */
static const struct gpu_call_entry gpu_call_blank;

/* Completes a new entry, and tells of it. Walks pass over it until its count is there. */
static __always_inline void gpu_call_complete(struct gpu_call_entry *entry,
					      const struct gpu_call_key *key,
					      const struct gpu_request *request,
					      const struct gpu_process *target, u64 number)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 now = bpf_ktime_get_boot_ns();
	struct gpu_process self = {};
	u8 one = 1;

	identity_fill(&entry->who, task);
	entry->number = number;
	entry->family = request->family;
	entry->cap_sys_admin = has_sys_admin(task);
	entry->in_container = task_in_container(task);
	entry->changed_underway = request->changed_underway;
	entry->target_pid = target->pid;
	entry->target_start_time = target->start_time;
	entry->latest = bpf_jiffies64();
	entry->args_bytes = request->args_bytes;
	entry->params_bytes = request->params_bytes;
	entry->client = request->client;
	gpu_call_tell(key, entry, request, now);
	gpu_process_of(&self, task);
	bpf_map_update_elem(&gpu_processes, &self, &one, BPF_ANY);
}

/*
 * The first call of its kind: remembered and told. Apart from the rest for the sake of the stack.
 */
static __noinline int gpu_call_begin(const struct gpu_call_key *key,
				     const struct gpu_request *request,
				     const struct gpu_process *target)
{
	struct gpu_call_account *account = gpu_call_account();
	struct gpu_call_entry *entry;
	map_status status;
	u64 number = 0;

	if (account)
		number = __sync_fetch_and_add(&account->made, 1);
	status = bpf_map_update_elem(&gpu_calls, key, &gpu_call_blank, BPF_NOEXIST);
	if (status != 0 && account)
		__sync_fetch_and_add(&account->removed, 1);
	entry = bpf_map_lookup_elem(&gpu_calls, key);
	if (!entry)
		fault_count(FAULT_GPU_CALLS_FULL);
	else if (status == 0)
		gpu_call_complete(entry, key, request, target, number);
	else
		gpu_call_count(entry, request);
	return 0;
}

/* Is the handle that the call is made with another process's? Nobody's becomes the caller's. */
static __always_inline bool is_foreign_client(u32 client, const struct gpu_process *self,
					      struct gpu_process *owner)
{
	if (!gpu_client_owner(client, owner)) {
		bpf_map_update_elem(&gpu_clients, &client, self, BPF_ANY);
		return false;
	}
	return owner->pid != self->pid || owner->start_time != self->start_time;
}

/*
 * Who is the aim of a call? Completes the key; `target` is that process, and zeros when it is the
 * caller or not known.
 */
static __noinline int gpu_call_aim(struct gpu_call_key *key, const struct gpu_request *request,
				   struct gpu_process *target)
{
	struct gpu_process self = { .start_time = key->start_time, .pid = key->pid };

	if (request->client && is_foreign_client(request->client, &self, target) && !key->target)
		key->target = request->client;
	if (request->target_client && !gpu_client_owner(request->target_client, target))
		__builtin_memset(target, 0, sizeof(*target));
	/* Another client of its own is no aim. */
	if (target->pid == self.pid && target->start_time == self.start_time)
		key->target = 0;
	if (!key->target)
		__builtin_memset(target, 0, sizeof(*target));
	return 0;
}

/* A call that is not the same as the one before. Apart from the rest for the sake of the stack. */
static __noinline int gpu_call_resolve(struct gpu_call_key *key, const struct gpu_request *request)
{
	struct gpu_call_account *account = gpu_call_account();
	struct gpu_process target = {};
	struct gpu_call_entry *entry;

	if (account)
		__sync_fetch_and_add(&account->asked, 1);
	gpu_call_aim(key, request, &target);
	entry = bpf_map_lookup_elem(&gpu_calls, key);
	if (!entry)
		return gpu_call_begin(key, request, &target);
	gpu_call_count(entry, request);
	return 0;
}

/* Counts a call of the current process on the file of another one, or on its own. */
static __noinline int gpu_call_note_file(struct gpu_call_key *key,
					 const struct gpu_request *request, u64 file)
{
	struct gpu_process target = {}, *owner = bpf_map_lookup_elem(&gpu_files, &file);
	struct gpu_call_entry *entry;

	if (owner && (owner->pid != key->pid || owner->start_time != key->start_time)) {
		target = *owner;
		key->by_pid = 1;
		key->target = target.pid;
	}
	entry = bpf_map_lookup_elem(&gpu_calls, key);
	if (!entry)
		return gpu_call_begin(key, request, &target);
	gpu_call_count(entry, request);
	return 0;
}

/* `key` is zeroed. The aim is what the call itself says. */
static __always_inline void gpu_call_key_of(struct gpu_call_key *key,
					    const struct gpu_request *request)
{
	struct task_struct *task = bpf_get_current_task_btf();

	key->start_time = task->group_leader->start_boottime;
	key->pid = task->tgid;
	key->device = request->device;
	key->escape = request->escape;
	key->command = request->command;
	key->value = request->value;
	key->target = request->target_client;
	key->call_kind = request->call_kind;
	key->has_value = request->has_value;
}

/* Counts a call of the current process. */
static __always_inline void gpu_call_note(const struct gpu_request *request)
{
	struct gpu_call_entry *entry;
	struct gpu_call_key key = {};

	gpu_call_key_of(&key, request);
	if (request->aims_at_file) {
		gpu_call_note_file(&key, request, request->file);
		return;
	}
	entry = bpf_map_lookup_elem(&gpu_calls, &key);
	/* With the handle of the last time, which was looked up then. */
	if (entry && entry->client == request->client)
		gpu_call_count(entry, request);
	else
		gpu_call_resolve(&key, request);
}

#endif
