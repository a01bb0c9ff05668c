/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a process under test: makes writev-like calls and fdatasync fail with EIO while
 * the file named by VEDETTE_FAIL_WRITE or VEDETTE_FAIL_SYNC exists. A failing write first writes
 * half of its first buffer, as a disk that dies in the middle does.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int fails(const char *variable)
{
	const char *path = getenv(variable);

	return path != NULL && access(path, F_OK) == 0;
}

int fdatasync(int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");

	if (fails("VEDETTE_FAIL_SYNC")) {
		errno = EIO;
		return -1;
	}
	return real(fd);
}

static ssize_t write_half(int fd, const struct iovec *vectors, off_t offset)
{
	if (pwrite(fd, vectors[0].iov_base, vectors[0].iov_len / 2, offset) < 0)
		return -1;
	errno = EIO;
	return -1;
}

ssize_t pwritev(int fd, const struct iovec *vectors, int count, off_t offset)
{
	ssize_t (*real)(int, const struct iovec *, int, off_t) =
		(ssize_t (*)(int, const struct iovec *, int, off_t))dlsym(RTLD_NEXT, "pwritev");

	if (fails("VEDETTE_FAIL_WRITE"))
		return write_half(fd, vectors, offset);
	return real(fd, vectors, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *vectors, int count, off_t offset)
{
	return pwritev(fd, vectors, count, offset);
}
