// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * What processes ask of the drivers of the GPU's surface.
 *
 * At the security hook of ioctl(), in its best form: a sleepable LSM program, which can read
 * arguments that are not in memory; then as a trampoline or kprobe on the same function; and where
 * all of them are refused, at the system call. Arguments are read before the driver reads them, so
 * another thread can change them in between: gpu_driver sees what the driver got.
 *
 * Not seen: work that is handed to a GPU through memory that is mapped.
 */
#include "gpu/decode.bpf.h"
#include "gpu/file.bpf.h"
#include "scope.bpf.h"
#include "self.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define IDLE_NS (3600 * 1000000000ull)
/* A kernel counts 100 to 1000 jiffies per second; 250 until we have counted. */
#define JIFFY_NS_MIN 900000
#define JIFFY_NS_MAX 11000000
#define JIFFY_NS_USUAL 4000000

#if defined(__TARGET_ARCH_x86)
#define SYSTEM_CALL_IOCTL 16
/* Of registers that the verifier trusts: no helper is called for them. */
#define ARGUMENT_1(registers) ((registers)->di)
#define ARGUMENT_2(registers) ((registers)->si)
#define ARGUMENT_3(registers) ((registers)->dx)
#else
#define SYSTEM_CALL_IOCTL 29
#define ARGUMENT_1(registers) PT_REGS_PARM1_CORE_SYSCALL(registers)
#define ARGUMENT_2(registers) PT_REGS_PARM2_CORE_SYSCALL(registers)
#define ARGUMENT_3(registers) PT_REGS_PARM3_CORE_SYSCALL(registers)
#endif

/* `rdev` is the number of the character device; 0 when it is none. */
static __always_inline void on_ioctl(struct file *file, u32 rdev, u32 command, u64 args,
				     const enum args_place place)
{
	struct gpu_request request = {};

	if (!rdev)
		return;
	request.family = gpu_family_of(rdev);
	if (!request.family || !scope_has_current() || current_is_agent())
		return;
	request.device = rdev;
	request.file = (u64)file;
	gpu_decode(&request, command, args, place);
	if (request.escape == UVM_TOOLS_INIT_EVENT_TRACKER && request.target_fd >= 0) {
		request.file = (u64)file_of_descriptor(request.target_fd);
		request.aims_at_file = 1;
	}
	gpu_call_note(&request);
}

SEC("lsm.s/file_ioctl")
int BPF_PROG(gpu_call_lsm, struct file *file, unsigned int command, unsigned long args)
{
	on_ioctl(file, character_device_direct(file->f_inode), command, args, ARGS_USER_WAITING);
	return 0;
}

SEC("lsm.s/file_ioctl_compat")
int BPF_PROG(gpu_call_compat_lsm, struct file *file, unsigned int command, unsigned long args)
{
	on_ioctl(file, character_device_direct(file->f_inode), command, args, ARGS_USER_WAITING);
	return 0;
}

SEC("fentry/security_file_ioctl")
int BPF_PROG(gpu_call_fentry, struct file *file, unsigned int command, unsigned long args)
{
	on_ioctl(file, character_device_direct(file->f_inode), command, args, ARGS_USER);
	return 0;
}

SEC("fentry/security_file_ioctl_compat")
int BPF_PROG(gpu_call_compat_fentry, struct file *file, unsigned int command, unsigned long args)
{
	on_ioctl(file, character_device_direct(file->f_inode), command, args, ARGS_USER);
	return 0;
}

SEC("kprobe/security_file_ioctl")
int BPF_KPROBE(gpu_call_kprobe, struct file *file, unsigned int command, unsigned long args)
{
	on_ioctl(file, character_device(BPF_CORE_READ(file, f_inode)), command, args, ARGS_USER);
	return 0;
}

SEC("kprobe/security_file_ioctl_compat")
int BPF_KPROBE(gpu_call_compat_kprobe, struct file *file, unsigned int command,
	       unsigned long args)
{
	on_ioctl(file, character_device(BPF_CORE_READ(file, f_inode)), command, args, ARGS_USER);
	return 0;
}

/* Runs for every system call of the node: only while a driver is there, and nothing else works. */
SEC("tp_btf/sys_enter")
int BPF_PROG(gpu_call_sys_enter, struct pt_regs *registers, long number)
{
	struct file *file;

	if (number != SYSTEM_CALL_IOCTL)
		return 0;
	file = file_of_descriptor(ARGUMENT_1(registers));
	if (file)
		on_ioctl(file, character_device(BPF_CORE_READ(file, f_inode)),
			 ARGUMENT_2(registers), ARGUMENT_3(registers), ARGS_USER);
	return 0;
}

/* The end of a process that called a driver: the next walk reports the rest, and removes. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(gpu_process_exit, struct task_struct *task)
{
	struct gpu_process process = {};
	u8 one = 1;

	if (task->signal->live.counter != 0)
		return 0;
	gpu_process_of(&process, task);
	if (!bpf_map_lookup_elem(&gpu_processes, &process))
		return 0;
	bpf_map_update_elem(&gpu_processes_ended, &process, &one, BPF_ANY);
	bpf_map_delete_elem(&gpu_processes, &process);
	return 0;
}

/* The end of a walk: what is not there any more and was not removed was evicted. */
static __always_inline void on_walk_over(struct gpu_call_account *account)
{
	u64 evicted, more, *count;
	u32 fault = FAULT_GPU_CALLS_EVICTED;

	evicted = account->made_before - account->removed - account->seen;
	account->made_before = account->made;
	if ((s64)evicted <= (s64)account->evicted)
		return;
	more = evicted - account->evicted;
	account->evicted = evicted;
	count = bpf_map_lookup_elem(&faults, &fault);
	if (count)
		__sync_fetch_and_add(count, more);
}

static __always_inline void on_reported(struct gpu_call_entry *entry,
					const struct gpu_call *record)
{
	entry->first = 0;
	entry->count_reported += record->count;
	entry->refused_reported += record->refused;
	entry->wrapped_reported += record->wrapped;
	entry->unread_reported += record->unread;
}

/* The beginning of a walk: how long were the jiffies since the last one? */
static __always_inline void on_walk(struct gpu_call_account *account, u64 session)
{
	u64 now = bpf_ktime_get_boot_ns(), jiffies = bpf_jiffies64(), jiffy_ns = 0;

	if (account->walk_ns && jiffies > account->walk_jiffies)
		jiffy_ns = (now - account->walk_ns) / (jiffies - account->walk_jiffies);
	if (!account->jiffy_ns)
		account->jiffy_ns = JIFFY_NS_USUAL;
	/* Others: the machine slept meanwhile. */
	if (jiffy_ns >= JIFFY_NS_MIN && jiffy_ns <= JIFFY_NS_MAX)
		account->jiffy_ns = jiffy_ns;
	account->walk_ns = now;
	account->walk_jiffies = jiffies;
	account->session = session;
	account->seen = 0;
}

/* Nanoseconds since boot of the latest call, to a jiffy; calls go on while we walk. */
static __always_inline u64 latest_ns(const struct gpu_call_account *account,
				     const struct gpu_call_entry *entry)
{
	u64 ago = account->walk_jiffies - entry->latest;

	return (s64)ago > 0 ? account->walk_ns - ago * account->jiffy_ns : account->walk_ns;
}

static __always_inline bool is_over(const struct gpu_call_key *key,
				    const struct gpu_call_account *account, u64 latest)
{
	struct gpu_process process = { .start_time = key->start_time, .pid = key->pid };

	return account->walk_ns - latest > IDLE_NS ||
	       bpf_map_lookup_elem(&gpu_processes_ended, &process);
}

/*
 * Every five seconds: what was called again since the last report. The entry by its pointer and not
 * by a look-up, which would make it the youngest.
 */
SEC("iter/bpf_map_elem")
int gpu_calls_iter(struct bpf_iter__bpf_map_elem *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct gpu_call_account *account = gpu_call_account();
	struct gpu_call_entry *entry = ctx->value;
	struct gpu_call_key key, *at = ctx->key;
	struct gpu_call record = {};
	u64 latest;
	bool over;

	if (!account)
		return 0;
	if (account->session != ctx->meta->session_id)
		on_walk(account, ctx->meta->session_id);
	if (!at || !entry) {
		on_walk_over(account);
		return 0;
	}
	key = *at;
	latest = latest_ns(account, entry);
	over = is_over(&key, account, latest);
	if (entry->count != entry->count_reported || entry->refused != entry->refused_reported) {
		record_stamp(&record.header, KIND_GPU_CALL, sizeof(record), latest);
		gpu_call_fill(&record, &key, entry, account->jiffy_ns,
			      over ? FLOW_REPORT_LAST : FLOW_REPORT_PERIODIC);
		/* When the page is full the kernel calls again with the same entry. */
		if (bpf_seq_write(seq, &record, sizeof(record)) != 0)
			return 0;
		record_count(KIND_GPU_CALL, false);
		on_reported(entry, &record);
	}
	if (entry->number < account->made_before)
		account->seen++;
	if (over)
		gpu_call_remove(&key);
	return 0;
}
