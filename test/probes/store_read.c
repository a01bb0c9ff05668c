/*
 * Reads a file to its end through one door: for the probe tests.
 *
 *   store_read DOOR FILE [BYTES]     BYTES at a time, 64 KiB when not said
 *
 * Prints how many bytes it got, and waits for the end of its input. `stdin` reads what it was given
 * as descriptor 3. System calls of which the C library knows nothing are made by number.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define INHERITED 3

static size_t chunk = 64 * 1024;
static char *buffer;
static uint64_t size;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int open_file(const char *path, int flags)
{
	struct stat facts;
	int fd = open(path, O_RDONLY | flags);

	if (fd < 0 || fstat(fd, &facts) < 0)
		fail(path);
	size = facts.st_size;
	return fd;
}

/* All that a descriptor gives. */
static uint64_t drain(int fd)
{
	uint64_t total = 0;
	ssize_t got;

	while ((got = read(fd, buffer, chunk)) > 0)
		total += got;
	if (got < 0)
		fail("read");
	return total;
}

static uint64_t by_pread(int fd)
{
	uint64_t total = 0;
	ssize_t got;

	while ((got = pread(fd, buffer, chunk, total)) > 0)
		total += got;
	return total;
}

static uint64_t by_readv(int fd, int at_offset)
{
	struct iovec parts[2] = {{buffer, chunk / 2}, {buffer + chunk / 2, chunk / 2}};
	uint64_t total = 0;
	ssize_t got;

	while ((got = at_offset ? preadv2(fd, parts, 2, total, 0) : readv(fd, parts, 2)) > 0)
		total += got;
	return total;
}

static uint64_t by_mapping(int fd, int flags)
{
	volatile unsigned char *at = mmap(NULL, size, PROT_READ, MAP_PRIVATE | flags, fd, 0);
	unsigned sum = 0;

	if (at == MAP_FAILED)
		fail("mmap");
	for (uint64_t i = 0; i < size; i += 4096)
		sum += at[i];
	munmap((void *)at, size);
	return sum == ~0u ? 0 : size;
}

/* Into a pipe, out of which another process takes it. */
static int sink(pid_t *child)
{
	int ends[2];

	if (pipe(ends) < 0)
		fail("pipe");
	*child = fork();
	if (*child == 0) {
		close(ends[1]);
		drain(ends[0]);
		_exit(0);
	}
	close(ends[0]);
	return ends[1];
}

static uint64_t by_splice(int fd)
{
	uint64_t total = 0;
	pid_t child;
	int out = sink(&child);
	ssize_t got;

	while ((got = splice(fd, NULL, out, NULL, chunk, 0)) > 0)
		total += got;
	close(out);
	waitpid(child, NULL, 0);
	return total;
}

static uint64_t by_sendfile(int fd)
{
	uint64_t total = 0;
	off_t at = 0;
	pid_t child;
	int ends[2];
	ssize_t got;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
		fail("socketpair");
	child = fork();
	if (child == 0) {
		close(ends[1]);
		drain(ends[0]);
		_exit(0);
	}
	close(ends[0]);
	while ((got = sendfile(ends[1], fd, &at, chunk)) > 0)
		total += got;
	close(ends[1]);
	waitpid(child, NULL, 0);
	return total;
}

static int open_copy(const char *path)
{
	char name[4096];
	int fd;

	snprintf(name, sizeof(name), "%s.copy", path);
	fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		fail(name);
	unlink(name);
	return fd;
}

static uint64_t by_copy(int fd, const char *path)
{
	int out = open_copy(path);
	uint64_t total = 0;
	ssize_t got;

	while ((got = copy_file_range(fd, NULL, out, NULL, chunk, 0)) > 0)
		total += got;
	return total;
}

static uint64_t by_aio(int fd)
{
	struct iocb request = {.aio_fildes = fd, .aio_lio_opcode = IOCB_CMD_PREAD}, *list = &request;
	aio_context_t context = 0;
	struct io_event event;
	uint64_t total = 0;

	if (syscall(SYS_io_setup, 1, &context) < 0)
		fail("io_setup");
	while (total < size) {
		request.aio_buf = (uintptr_t)buffer;
		request.aio_nbytes = chunk;
		request.aio_offset = total;
		if (syscall(SYS_io_submit, context, 1, &list) != 1 ||
		    syscall(SYS_io_getevents, context, 1, 1, &event, NULL) != 1 || event.res <= 0)
			fail("aio");
		total += event.res;
	}
	return total;
}

static uint64_t by_ring(int fd, int flags)
{
	struct io_uring_params params = {0};
	int ring = syscall(SYS_io_uring_setup, 4, &params);
	struct io_uring_sqe *entries;
	struct io_uring_cqe *results;
	unsigned char *queue;
	uint64_t total = 0;

	if (ring < 0)
		fail("io_uring_setup");
	queue = mmap(NULL, params.cq_off.cqes + params.cq_entries * sizeof(*results),
		     PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	entries = mmap(NULL, params.sq_entries * sizeof(*entries), PROT_READ | PROT_WRITE, MAP_SHARED,
		       ring, IORING_OFF_SQES);
	if (queue == MAP_FAILED || entries == MAP_FAILED)
		fail("mmap");
	results = (void *)(queue + params.cq_off.cqes);
	for (;;) {
		uint32_t *tail = (void *)(queue + params.sq_off.tail);
		uint32_t *head = (void *)(queue + params.cq_off.head);
		uint32_t slot = *tail & (params.sq_entries - 1);
		int got;

		entries[slot] = (struct io_uring_sqe){.opcode = IORING_OP_READ, .fd = fd,
			.addr = (uintptr_t)buffer, .len = chunk, .off = total, .flags = flags};
		((uint32_t *)(queue + params.sq_off.array))[slot] = slot;
		__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
		if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
			fail("io_uring_enter");
		got = results[*head & (params.cq_entries - 1)].res;
		__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
		if (got <= 0)
			return total;
		total += got;
	}
}

static uint64_t by_handle(const char *path)
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} of = {.handle.handle_bytes = MAX_HANDLE_SZ};
	int mount_id, fd;

	if (name_to_handle_at(AT_FDCWD, path, &of.handle, &mount_id, 0) < 0)
		fail("name_to_handle_at");
	fd = open_by_handle_at(open_file(path, O_PATH), &of.handle, O_RDONLY);
	/* Any open folder or file of the file system will do, but not one of O_PATH. */
	if (fd < 0)
		fd = open_by_handle_at(open_file(path, 0), &of.handle, O_RDONLY);
	if (fd < 0)
		fail("open_by_handle_at");
	return drain(fd);
}

/* Out of the memory of a process that has read the file. */
static uint64_t by_memory(int fd, int by_file)
{
	char *theirs = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec local = {buffer, chunk}, remote = {theirs, chunk};
	int ready[2], memory = -1;
	uint64_t total = 0;
	char name[64], one;
	pid_t child;

	if (theirs == MAP_FAILED || pipe(ready) < 0)
		fail("mmap");
	child = fork();
	if (child == 0) {
		if (read(fd, theirs, size) < 0 || write(ready[1], "x", 1) < 0)
			_exit(1);
		pause();
	}
	if (read(ready[0], &one, 1) != 1)
		fail("pipe");
	snprintf(name, sizeof(name), "/proc/%d/mem", child);
	if (by_file)
		memory = open(name, O_RDONLY);
	while (total < size) {
		ssize_t got;

		/* Nothing of what lies behind it. */
		if (size - total < chunk)
			local.iov_len = remote.iov_len = size - total;
		got = by_file ? pread(memory, buffer, local.iov_len, (uintptr_t)theirs + total) :
			process_vm_readv(child, &local, 1, &remote, 1, 0);

		if (got <= 0)
			fail("memory of another process");
		remote.iov_base = (char *)remote.iov_base + got;
		total += got;
	}
	kill(child, 9);
	waitpid(child, NULL, 0);
	return total;
}

/* As GPUDirect Storage does; of its stand-in (test/gpu/storage/nvidia_fs.c). */
static uint64_t by_gpu(int fd)
{
	struct {
		uint64_t address, bytes, offset;
		int64_t result;
		uint32_t fd, spare;
	} request = {.address = (uintptr_t)buffer, .bytes = chunk, .fd = fd};
	int device = open("/dev/nvidia-fs0", O_RDWR);

	if (device < 0)
		fail("/dev/nvidia-fs0");
	for (;;) {
		if (ioctl(device, _IOC(_IOC_READ | _IOC_WRITE, 't', 2, sizeof(request)), &request) < 0 ||
		    request.result < 0)
			fail("reading by GPUDirect Storage");
		if (request.result == 0)
			return request.offset;
		request.offset += request.result;
	}
}

static uint64_t pass(const char *door, const char *path)
{
	int fd;

	if (!strcmp(door, "inherited"))
		return drain(INHERITED);
	if (!strcmp(door, "handle"))
		return by_handle(path);
	fd = open_file(path, strstr(door, "direct") ? O_DIRECT : 0);
	if (!strcmp(door, "read") || !strcmp(door, "direct"))
		return drain(fd);
	if (!strcmp(door, "pread"))
		return by_pread(fd);
	if (!strcmp(door, "readv") || !strcmp(door, "preadv2"))
		return by_readv(fd, door[0] == 'p');
	if (!strcmp(door, "mmap") || !strcmp(door, "populate"))
		return by_mapping(fd, door[0] == 'p' ? MAP_POPULATE : 0);
	if (!strcmp(door, "splice"))
		return by_splice(fd);
	if (!strcmp(door, "sendfile"))
		return by_sendfile(fd);
	if (!strcmp(door, "copy"))
		return by_copy(fd, path);
	if (!strcmp(door, "clone"))
		return ioctl(open_copy(path), FICLONE, fd) == 0 ? size : 0;
	if (!strcmp(door, "aio") || !strcmp(door, "aio-direct"))
		return by_aio(fd);
	if (!strcmp(door, "ring") || !strcmp(door, "ring-direct"))
		return by_ring(fd, 0);
	if (!strcmp(door, "ring-worker"))
		return by_ring(fd, IOSQE_ASYNC);
	if (!strcmp(door, "memory") || !strcmp(door, "memory-file"))
		return by_memory(fd, door[6] != 0);
	if (!strcmp(door, "gpu-direct"))
		return by_gpu(fd);
	fprintf(stderr, "no door %s\n", door);
	exit(2);
}

int main(int count, char **words)
{
	char input[64];

	if (count < 3)
		return 2;
	if (count > 3)
		chunk = atoi(words[3]);
	if (posix_memalign((void **)&buffer, 4096, chunk))
		return 1;
	printf("%llu\n", (unsigned long long)pass(words[1], words[2]));
	fflush(stdout);
	while (read(0, input, sizeof(input)) > 0)
		;
	return 0;
}
