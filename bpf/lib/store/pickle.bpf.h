/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Files that Python's pickle may be asked to load, by the end of their name. */
#ifndef VEDETTE_STORE_PICKLE_BPF_H
#define VEDETTE_STORE_PICKLE_BPF_H

#include "kernel.bpf.h"

/* The last eight letters of a name as a number, the last one highest; and of it the last `n`. */
#define LAST_LETTERS(name, n) ((name) >> (8 * (8 - (n))))
#define LETTERS_3(a, b, c) ((u64)(a) | (u64)(b) << 8 | (u64)(c) << 16)
#define LETTERS_4(a, b, c, d) (LETTERS_3(a, b, c) | (u64)(d) << 24)
#define LETTERS_5(a, b, c, d, e) (LETTERS_4(a, b, c, d) | (u64)(e) << 32)
#define LETTERS_7(a, b, c, d, e, f, g)                                                             \
	(LETTERS_5(a, b, c, d, e) | (u64)(f) << 40 | (u64)(g) << 48)
/* Capital letters become small; what ends names of files otherwise stays as it is. */
#define SMALL_LETTERS 0x2020202020202020ull

/* The endings are those of isPickle in detectors/stores/artifacts/formats.ts. */
__weak __noinline int store_is_pickle(u64 file_address)
{
	struct dentry *dentry = BPF_CORE_READ((struct file *)file_address, f_path.dentry);
	const unsigned char *name = BPF_CORE_READ(dentry, d_name.name);
	u32 letters = BPF_CORE_READ(dentry, d_name.len);
	u64 end = 0;

	/* What is before a name that is shorter lies in memory of the kernel, too. */
	if (bpf_probe_read_kernel(&end, sizeof(end), name + letters - sizeof(end)) != 0)
		return 0;
	end |= SMALL_LETTERS;
	return LAST_LETTERS(end, 3) == LETTERS_3('.', 'p', 't') ||
	       LAST_LETTERS(end, 4) == LETTERS_4('.', 'p', 't', 'h') ||
	       LAST_LETTERS(end, 4) == LETTERS_4('.', 'p', 't', '2') ||
	       LAST_LETTERS(end, 4) == LETTERS_4('.', 'p', 'k', 'l') ||
	       LAST_LETTERS(end, 4) == LETTERS_4('.', 'b', 'i', 'n') ||
	       LAST_LETTERS(end, 5) == LETTERS_5('.', 'c', 'k', 'p', 't') ||
	       LAST_LETTERS(end, 5) == LETTERS_5('.', 'd', 'i', 'l', 'l') ||
	       LAST_LETTERS(end, 7) == LETTERS_7('.', 'p', 'i', 'c', 'k', 'l', 'e') ||
	       LAST_LETTERS(end, 7) == LETTERS_7('.', 'j', 'o', 'b', 'l', 'i', 'b');
}

#endif
