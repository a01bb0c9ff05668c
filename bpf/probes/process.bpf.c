// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Which programs run, and how they end.
 *
 * BTF tracepoints and not kprobes or fentry: these two are called once per event with the task at
 * hand, at the same place in every kernel since 5.5, and load where kprobes and trampolines are
 * refused. A process_exec is reported when the exec has succeeded; a failed one changes nothing.
 */
#include "record.bpf.h"
#include "identity.bpf.h"
#include "scope.bpf.h"
#include "self.bpf.h"
#include "path.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define ARGS_BYTES 512

/* Processes whose exit was reported by one thread while others were still leaving. */
struct exited_key {
	u64 start_time;
	u64 pid;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct exited_key);
	__type(value, u8);
} exited SEC(".maps");

/* The record of the process iterator: larger than the stack. Iterators run one at a time. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct process_exec);
} iterator_record SEC(".maps");

/* `args` of the record serves as scratch for the path, and is zeroed again. */
static __always_inline void executable_fill(struct process_exec *record, struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);

	_Static_assert(sizeof(record->exe) == PATH_BYTES, "exe holds a path");
	_Static_assert(sizeof(record->args) >= PATH_SCRATCH_BYTES, "args holds the scratch");
	record->exe_inode = BPF_CORE_READ(inode, i_ino);
	record->exe_device = BPF_CORE_READ(inode, i_sb, s_dev);
	/*
	 * The count of links, and not whether the name is hashed: network file systems drop names
	 * that still exist. A memfd has no link from the start.
	 */
	record->exe_unlinked = BPF_CORE_READ(inode, i_nlink) == 0;
	record->exe_cut = path_read(file, record->args, record->exe);
	record_zero(record->args, sizeof(record->args));
}

/* In the context of the process only: reads its memory. */
static __always_inline void arguments_fill(struct process_exec *record, struct task_struct *task)
{
	struct mm_struct *mm = task->mm;
	u64 start = mm->arg_start;
	u64 bytes = mm->arg_end - start;

	record->args_bytes = bytes;
	if (bytes > ARGS_BYTES)
		bytes = ARGS_BYTES;
	if (bytes == 0)
		return;
	/* The kernel wrote them a moment ago, so they are in memory; a busy swap may differ. */
	if (bpf_probe_read_user(record->args, bytes, (void *)start) == 0)
		record->args_bytes_kept = bytes;
	else
		fault_count(FAULT_ARGS_UNREADABLE);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec_tp_btf, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	struct process_exec *record;

	if (!scope_has_current())
		return 0;
	record = record_reserve(KIND_PROCESS_EXEC, sizeof(*record), bpf_ktime_get_boot_ns(),
				cgroup_id_of(task));
	if (!record)
		return 0;
	identity_fill(&record->header, task);
	executable_fill(record, bprm->file);
	arguments_fill(record, task);
	record_submit(record);
	return 0;
}

/* Ancestors of a program that never ran one of their own, told at once. */
#define FORKED_TOLD_MAX 4

/* Those that have been told. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct exited_key);
	__type(value, u8);
} forked SEC(".maps");

static __always_inline bool forked_tell(struct task_struct *leader, u64 now)
{
	struct exited_key key = {};
	struct process_exec *record;
	map_status status;
	struct file *file;
	u8 told = 1;

	if (!(BPF_CORE_READ(leader, flags) & TASK_FLAG_FORKED_NO_EXEC))
		return false;
	file = BPF_CORE_READ(leader, mm, exe_file);
	if (!file || !scope_has_cgroup_read(BPF_CORE_READ(leader, cgroups, dfl_cgrp)))
		return false;
	key.start_time = BPF_CORE_READ(leader, start_boottime);
	key.pid = BPF_CORE_READ(leader, tgid);
	/* Any other refusal: rather twice than not at all. */
	status = bpf_map_update_elem(&forked, &key, &told, BPF_NOEXIST);
	if (status == -EEXIST)
		return false;
	record = record_reserve(KIND_PROCESS_EXEC, sizeof(*record), now,
				BPF_CORE_READ(leader, cgroups, dfl_cgrp, kn, id));
	if (!record)
		return true;
	identity_read(&record->header, leader);
	executable_fill(record, file);
	record->at_start = 1;
	record_submit(record);
	return true;
}

/*
 * A process that forks and runs no program itself makes no event before it ends, and its children
 * would hang in the air as long: sshd has one such in every session. So the first program that one
 * of its children runs tells of it, too, as of one that was there before us.
 */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_forked_tp_btf, struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;
	u64 now = bpf_ktime_get_boot_ns();

	if (!scope_has_current())
		return 0;
	for (int i = 0; i < FORKED_TOLD_MAX; i++) {
		leader = BPF_CORE_READ(leader, real_parent, group_leader);
		if (!leader || !forked_tell(leader, now))
			return 0;
	}
	return 0;
}

/*
 * Called for every thread, after it left the count of live threads: the last one finds 0. So may
 * several that leave at the same moment, hence `exited`. (Linux 6.16 and newer pass this as an
 * argument, but older ones must work, too.)
 */
static __always_inline bool exit_is_first(struct task_struct *task, struct signal_struct *signal)
{
	struct exited_key key = { .start_time = task->group_leader->start_boottime, .pid = task->tgid };
	u8 reported = 1;
	map_status status;

	/* Alone: whoever might have reported before us has left the process since. */
	if (signal->nr_threads == 1)
		return !bpf_map_lookup_elem(&exited, &key);
	status = bpf_map_update_elem(&exited, &key, &reported, BPF_NOEXIST);
	/* Any other refusal: rather twice than not at all. */
	return status != -EEXIST;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit_tp_btf, struct task_struct *task)
{
	struct signal_struct *signal = task->signal;
	struct process_exit *record;
	int status;

	if (signal->live.counter != 0 || (task->flags & TASK_FLAG_KERNEL_THREAD))
		return 0;
	if (!scope_has_current() || !exit_is_first(task, signal))
		return 0;
	record = record_reserve(KIND_PROCESS_EXIT, sizeof(*record), bpf_ktime_get_boot_ns(),
				cgroup_id_of(task));
	if (!record)
		return 0;
	identity_fill(&record->header, task);
	record->lifetime_ns = record->header.time - record->header.start_time;
	/* The status that wait() gives: the group's, or that of the leader, who may be long gone. */
	if (signal->flags & SIGNAL_FLAG_GROUP_EXIT)
		status = signal->group_exit_code;
	else
		status = task->group_leader->exit_code;
	record->exit_code = status >> 8;
	record->exit_signal = status & 0x7f;
	record_submit(record);
	return 0;
}

/*
 * The processes that were there before us, once at start; records leave through the iterator's
 * file. Without arguments: only the process itself can reach its memory from here.
 */
SEC("iter/task")
int process_iter(struct bpf_iter__task *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct task_struct *task = ctx->task;
	struct process_exec *record;
	struct mm_struct *mm;
	struct file *file;
	u32 zero = 0;

	agent_is_current();
	/* Leaders only, and no threads of the kernel: those run no program. */
	if (!task || task->pid != task->tgid)
		return 0;
	mm = task->mm;
	if (!mm || !scope_has_cgroup(task->cgroups->dfl_cgrp))
		return 0;
	file = mm->exe_file;
	record = bpf_map_lookup_elem(&iterator_record, &zero);
	if (!file || !record)
		return 0;
	record_zero(record, sizeof(*record));
	record_stamp(&record->header, KIND_PROCESS_EXEC, sizeof(*record), bpf_ktime_get_boot_ns());
	identity_fill(&record->header, task);
	executable_fill(record, file);
	record->at_start = 1;
	/* When the page is full the kernel calls again with the same task: count what went out. */
	if (bpf_seq_write(seq, record, sizeof(*record)) == 0)
		record_count(KIND_PROCESS_EXEC, false);
	return 0;
}
