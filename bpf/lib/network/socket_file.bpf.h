/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* From a file that the verifier does not trust to the socket behind it. */
#ifndef VEDETTE_SOCKET_FILE_BPF_H
#define VEDETTE_SOCKET_FILE_BPF_H

#include "kernel.bpf.h"

/* Of inode.i_mode (linux/stat.h): part of the user interface. */
#define FILE_TYPE_MASK 0170000
#define FILE_TYPE_SOCKET 0140000

/*
 * Told by the file system: an open socket is there, and nothing else is. The mode is asked first,
 * since it is one read less for all that is no socket.
 */
static __always_inline struct sock *socket_of(struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct socket *socket;

	if ((BPF_CORE_READ(inode, i_mode) & FILE_TYPE_MASK) != FILE_TYPE_SOCKET)
		return NULL;
	if (BPF_CORE_READ(inode, i_sb, s_magic) != SOCKFS_MAGIC)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	return socket ? BPF_CORE_READ(socket, sk) : NULL;
}

/* The same for internet sockets only. */
static __always_inline struct sock *inet_socket_of(struct file *file)
{
	struct sock *sk = socket_of(file);
	u16 family;

	if (!sk)
		return NULL;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	return family == AF_INET || family == AF_INET6 ? sk : NULL;
}

#endif
