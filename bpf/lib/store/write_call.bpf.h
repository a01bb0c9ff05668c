/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Numbers of the system calls that change files; those that open and rename are with the reads. */
#ifndef VEDETTE_STORE_WRITE_CALL_BPF_H
#define VEDETTE_STORE_WRITE_CALL_BPF_H

#include "system_call.bpf.h"

#if defined(__TARGET_ARCH_x86)
#define CALL_CLOSE 3
#define CALL_TRUNCATE 76
#define CALL_FTRUNCATE 77
#define CALL_MKDIR 83
#define CALL_RMDIR 84
#define CALL_CREAT 85
#define CALL_LINK 86
#define CALL_UNLINK 87
#define CALL_SYMLINK 88
#define CALL_CHMOD 90
#define CALL_FCHMOD 91
#define CALL_CHOWN 92
#define CALL_FCHOWN 93
#define CALL_LCHOWN 94
#define CALL_SETXATTR 188
#define CALL_LSETXATTR 189
#define CALL_FSETXATTR 190
#define CALL_REMOVEXATTR 197
#define CALL_LREMOVEXATTR 198
#define CALL_FREMOVEXATTR 199
#define CALL_GETDENTS 78
#define CALL_GETDENTS64 217
#define CALL_MKDIRAT 258
#define CALL_FCHOWNAT 260
#define CALL_UNLINKAT 263
#define CALL_LINKAT 265
#define CALL_SYMLINKAT 266
#define CALL_FCHMODAT 268
#else
#define CALL_SETXATTR 5
#define CALL_LSETXATTR 6
#define CALL_FSETXATTR 7
#define CALL_REMOVEXATTR 14
#define CALL_LREMOVEXATTR 15
#define CALL_FREMOVEXATTR 16
#define CALL_MKDIRAT 34
#define CALL_UNLINKAT 35
#define CALL_SYMLINKAT 36
#define CALL_LINKAT 37
#define CALL_TRUNCATE 45
#define CALL_FTRUNCATE 46
#define CALL_FCHMOD 52
#define CALL_FCHMODAT 53
#define CALL_FCHOWNAT 54
#define CALL_FCHOWN 55
#define CALL_CLOSE 57
#define CALL_GETDENTS64 61
/* Not on this architecture. */
#define CALL_MKDIR (~0ull - 3)
#define CALL_RMDIR (~0ull - 4)
#define CALL_CREAT (~0ull - 5)
#define CALL_LINK (~0ull - 6)
#define CALL_UNLINK (~0ull - 7)
#define CALL_SYMLINK (~0ull - 8)
#define CALL_CHMOD (~0ull - 9)
#define CALL_CHOWN (~0ull - 10)
#define CALL_LCHOWN (~0ull - 11)
#define CALL_GETDENTS (~0ull - 12)
#endif

#define CALL_FCHMODAT2 452

#define DESCRIPTOR_CURRENT_FOLDER -100
#define OPEN_FLAG_TRUNCATE 01000

static __always_inline u64 flags_of_openat2(u64 how)
{
	u64 flags = 0;

	bpf_probe_read_user(&flags, sizeof(flags), (void *)how);
	return flags;
}

#endif
