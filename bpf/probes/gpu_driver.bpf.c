// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * What the GPU driver got, and what it answered. Where rm_ioctl begins, the driver has unwrapped
 * the call and copied its arguments: nobody can change them any more. What gpu_call saw a moment
 * before must be the same.
 *
 * rm_ioctl(sp, nv, nvfp, command, data, bytes) is the border between the kernel's part of the
 * driver and the rest, in every branch from 515 to 595 (NVIDIA open-gpu-kernel-modules,
 * kernel-open/nvidia/nv.c). Calls that the kernel's part answers by itself do not come here; the
 * parameters of a control command are still in the process's memory.
 */
#include "gpu/decode.bpf.h"
#include "gpu/file.bpf.h"
#include "scope.bpf.h"
#include "self.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#if defined(__TARGET_ARCH_x86)
#define SIXTH_ARGUMENT(context) ((context)->r9)
#else
#define SIXTH_ARGUMENT(context) (((struct user_pt_regs *)(context))->regs[5])
#endif

/* A call that is in the driver. */
struct gpu_driver_call {
	u64 data;
	u32 escape;
	u32 bytes;
	struct gpu_call_key key;
};

/* LRU: a return that the kernel did not show us leaves an entry behind. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2048);
	__type(key, u64);
	__type(value, struct gpu_driver_call);
} gpu_driver_calls SEC(".maps");

/* The device that the system call is made on, by its descriptor. */
static __always_inline u32 device_of_call(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *registers = (void *)bpf_task_pt_regs(task);
	struct file *file = file_of_descriptor(PT_REGS_PARM1_CORE_SYSCALL(registers));

	return file ? character_device(BPF_CORE_READ(file, f_inode)) : 0;
}

/* Was a call whose arguments could not be read before, so that it may be this one? */
static __always_inline bool was_unread(const struct gpu_call_key *key)
{
	struct gpu_call_key unread = *key;

	unread.command = 0;
	unread.value = 0;
	unread.has_value = 0;
	unread.target = 0;
	return bpf_map_lookup_elem(&gpu_calls, &unread);
}

/* Tells a call that was not seen on its way. Apart from the rest for the sake of the stack. */
static __noinline int on_unseen(const struct gpu_call_key *key, struct gpu_request *request,
				const struct gpu_process *target)
{
	struct gpu_call_account *account = gpu_call_account();

	/* Nobody looks, or had no chance to. */
	if (!account || !account->asked)
		return 0;
	request->changed_underway = !was_unread(key);
	return gpu_call_begin(key, request, target);
}

SEC("kprobe/rm_ioctl")
int BPF_KPROBE(gpu_driver_kprobe, void *sp, void *nv, void *nvfp, u32 command, void *data)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct gpu_driver_call call = { .data = (u64)data, .bytes = SIXTH_ARGUMENT(ctx) };
	struct gpu_process target = {};
	struct gpu_request request = {};

	request.device = device_of_call();
	request.family = request.device ? gpu_family_of(request.device) : 0;
	if (request.family != GPU_DEVICE_FAMILY_NVIDIA &&
	    request.family != GPU_DEVICE_FAMILY_NVIDIACTL)
		return 0;
	if (!scope_has_current() || current_is_agent())
		return 0;
	request.call_kind = GPU_CALL_KIND_ESCAPE;
	request.args_bytes = call.bytes;
	decode_rm(&request, command, (u64)data, ARGS_KERNEL);
	call.escape = request.escape;
	gpu_call_key_of(&call.key, &request);
	if (!bpf_map_lookup_elem(&gpu_calls, &call.key)) {
		gpu_call_aim(&call.key, &request, &target);
		if (!bpf_map_lookup_elem(&gpu_calls, &call.key))
			on_unseen(&call.key, &request, &target);
	}
	bpf_map_update_elem(&gpu_driver_calls, &thread, &call, BPF_ANY);
	return 0;
}

/* Where the driver writes the answer; 0: it has no place of its own. */
static __always_inline u32 status_offset(const struct gpu_driver_call *call)
{
	switch (call->escape) {
	case ESCAPE_RM_CONTROL:
		return 28;
	case ESCAPE_RM_ALLOC:
		/* NVOS64 with flags, NVOS64 of branch 525, NVOS21. */
		return call->bytes >= 48 ? 40 : call->bytes >= 40 ? 36 : 28;
	case ESCAPE_RM_ALLOC_MEMORY:
	case ESCAPE_RM_MAP_MEMORY:
		return 40;
	case ESCAPE_RM_DUP_OBJECT:
		return 24;
	case ESCAPE_RM_SHARE:
	case ESCAPE_RM_VID_HEAP_CONTROL:
		return 20;
	case ESCAPE_RM_FREE:
		return 12;
	case ESCAPE_RM_ACCESS_REGISTRY:
		return 64;
	}
	return 0;
}

/* Handles that the driver gave out, or took back. `words` is the beginning of the arguments. */
static __always_inline void on_handles(const struct gpu_driver_call *call, const u32 *words)
{
	struct gpu_process self = { .start_time = call->key.start_time, .pid = call->key.pid };
	struct gpu_object_key object = { .client = words[0], .object = words[2] };
	u32 target = call->key.by_pid ? 0 : call->key.target;

	if (call->escape == ESCAPE_RM_FREE && words[2] == words[0])
		bpf_map_delete_elem(&gpu_clients, &object.client);
	if (call->escape != ESCAPE_RM_ALLOC)
		return;
	if (is_root_class(words[3]))
		bpf_map_update_elem(&gpu_clients, &object.object, &self, BPF_ANY);
	else if (target && class_aims_at_client(words[3]))
		bpf_map_update_elem(&gpu_objects, &object, &target, BPF_ANY);
}

SEC("kretprobe/rm_ioctl")
int BPF_KRETPROBE(gpu_driver_kretprobe, int answer)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct gpu_driver_call *found = bpf_map_lookup_elem(&gpu_driver_calls, &thread), call;
	struct gpu_call_entry *entry;
	u32 status = 0, words[4] = {}, offset;

	if (!found)
		return 0;
	call = *found;
	bpf_map_delete_elem(&gpu_driver_calls, &thread);
	bpf_probe_read_kernel(words, sizeof(words), (void *)call.data);
	offset = status_offset(&call);
	if (offset)
		bpf_probe_read_kernel(&status, sizeof(status), (void *)call.data + offset);
	if (answer == 0 && status == 0) {
		on_handles(&call, words);
		return 0;
	}
	entry = bpf_map_lookup_elem(&gpu_calls, &call.key);
	if (entry)
		__sync_fetch_and_add(&entry->refused, 1);
	return 0;
}
