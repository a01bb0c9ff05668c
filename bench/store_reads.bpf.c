// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * For the bench only: what the kernel asks of every system call for showing its end to a program,
 * whatever that does.
 */
#include "kernel.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tp_btf/sys_exit")
int BPF_PROG(store_reads_nothing, struct pt_regs *registers, long result)
{
	return 0;
}
