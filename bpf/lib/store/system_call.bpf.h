/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Numbers and arguments of the system calls that read files, at their end. */
#ifndef VEDETTE_STORE_SYSTEM_CALL_BPF_H
#define VEDETTE_STORE_SYSTEM_CALL_BPF_H

#include "kernel.bpf.h"

#if defined(__TARGET_ARCH_x86)
#define FILE_FLAG_DIRECT 0x4000
#define CODE_SEGMENT_32_BIT 0x23
#define CALL_READ 0
#define CALL_OPEN 2
#define CALL_PREAD64 17
#define CALL_READV 19
#define CALL_SENDFILE 40
#define CALL_RENAME 82
#define CALL_IO_SUBMIT 209
#define CALL_OPENAT 257
#define CALL_RENAMEAT 264
#define CALL_SPLICE 275
#define CALL_PREADV 295
#define CALL_OPEN_BY_HANDLE 304
#define CALL_PROCESS_VM_READV 310
#define CALL_RENAMEAT2 316
#define CALL_COPY_FILE_RANGE 326
#define CALL_PREADV2 327
#define CALL_OPENAT2 437
/* Of registers that the verifier trusts: no helper is called for them. */
#define CALL_NUMBER(registers) ((registers)->orig_ax)
#define CALL_IS_32_BIT(registers) ((registers)->cs == CODE_SEGMENT_32_BIT)
#define CALL_ARGUMENT_1(registers) ((registers)->di)
#define CALL_ARGUMENT_2(registers) ((registers)->si)
#define CALL_ARGUMENT_3(registers) ((registers)->dx)
#define CALL_ARGUMENT_4(registers) ((registers)->r10)
#else
#define FILE_FLAG_DIRECT 0x10000
#define CALL_IO_SUBMIT 2
#define CALL_RENAMEAT 38
#define CALL_OPENAT 56
#define CALL_READ 63
#define CALL_READV 65
#define CALL_PREAD64 67
#define CALL_PREADV 69
#define CALL_SENDFILE 71
#define CALL_SPLICE 76
#define CALL_OPEN_BY_HANDLE 265
#define CALL_PROCESS_VM_READV 270
#define CALL_RENAMEAT2 276
#define CALL_COPY_FILE_RANGE 285
#define CALL_PREADV2 286
#define CALL_OPENAT2 437
/* Not on this architecture. */
#define CALL_OPEN (~0ull - 1)
#define CALL_RENAME (~0ull - 2)

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
/* The result is where the first argument was. */
struct pt_regs___call {
	u64 regs[31];
	u64 orig_x0;
	s32 syscallno;
};
#pragma clang attribute pop

#define CALL_OF_ARM(registers) ((struct pt_regs___call *)(registers))
#define CALL_NUMBER(registers) ((u64)CALL_OF_ARM(registers)->syscallno)
#define CALL_IS_32_BIT(registers) false
#define CALL_ARGUMENT_1(registers) (CALL_OF_ARM(registers)->orig_x0)
#define CALL_ARGUMENT_2(registers) (CALL_OF_ARM(registers)->regs[1])
#define CALL_ARGUMENT_3(registers) (CALL_OF_ARM(registers)->regs[2])
#define CALL_ARGUMENT_4(registers) (CALL_OF_ARM(registers)->regs[3])
#endif

#endif
