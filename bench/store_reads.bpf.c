// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * For the bench only: what the kernel asks of every system call for showing its end to a program,
 * whatever that does, and what it asks for a look-up in a map.
 */
#include "kernel.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tp_btf/sys_exit")
int BPF_PROG(store_reads_nothing, struct pt_regs *registers, long result)
{
	return 0;
}

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, u64);
} devices SEC(".maps");

SEC("tp_btf/sys_exit")
int BPF_PROG(store_reads_look_up, struct pt_regs *registers, long result)
{
	u32 device = 0x103 << 20 | 1;
	u64 *found = bpf_map_lookup_elem(&devices, &device);

	/* There is none. */
	if (found)
		*found = result;
	return 0;
}
