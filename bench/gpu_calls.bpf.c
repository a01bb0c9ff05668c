// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * For the bench only: the work of the probe of GPU calls, as at the security hook of ioctl, many
 * times in a row. The time of all of them is at hand without any way to attach that this kernel
 * refuses, and without what measuring a single run costs.
 */
#include "gpu/decode.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define TIMES 64
#define DEVICE_NVIDIACTL (MAJOR_NVIDIA << MINOR_BITS | MINOR_NVIDIACTL)

#if defined(__TARGET_ARCH_x86)
#define SYSTEM_CALL_IOCTL 16
#define SECOND_ARGUMENT(registers) ((registers)->si)
#define THIRD_ARGUMENT(registers) ((registers)->dx)
#else
#define SYSTEM_CALL_IOCTL 29
#define SECOND_ARGUMENT(registers) PT_REGS_PARM2_CORE_SYSCALL(registers)
#define THIRD_ARGUMENT(registers) PT_REGS_PARM3_CORE_SYSCALL(registers)
#endif

/* Only calls of gpu_calls.c. */
#define CONTROL_OF_BENCH 0xc020be2a

/* Nanoseconds of the latest round. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} round_ns SEC(".maps");

static __noinline int call_once(u64 args)
{
	struct gpu_request request = {};

	request.device = DEVICE_NVIDIACTL;
	request.family = gpu_family_of(request.device);
	gpu_decode(&request, CONTROL_OF_BENCH, args, ARGS_USER);
	gpu_call_note(&request);
	return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(gpu_calls_bench, struct pt_regs *registers, long number)
{
	u64 args, start, *ns;
	u32 zero = 0;

	if (number != SYSTEM_CALL_IOCTL || (u32)SECOND_ARGUMENT(registers) != CONTROL_OF_BENCH)
		return 0;
	args = THIRD_ARGUMENT(registers);
	start = bpf_ktime_get_ns();
	for (int i = 0; i < TIMES; i++)
		call_once(args);
	ns = bpf_map_lookup_elem(&round_ns, &zero);
	if (ns)
		*ns = bpf_ktime_get_ns() - start;
	return 0;
}
