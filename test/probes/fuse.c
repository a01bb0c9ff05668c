/*
 * A file system in user space, of two folders with one file each: for the probe tests.
 *
 *   fuse FOLDER BYTES [direct]     direct: its files are opened with direct_io
 *
 * Speaks to /dev/fuse itself, mounts on FOLDER, prints a line, and serves until it is ended or
 * unmounted.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOM (256 * 1024)
#define FOLDER_SET 2
#define FOLDER_OTHER 3
/* The number of a file is that of its folder and two. */
#define FILES 4

static int device;
static uint64_t size;
static uint32_t open_flags;
static char request[ROOM], answer[ROOM];

static void reply(uint64_t unique, int error, size_t bytes)
{
	struct fuse_out_header *header = (void *)answer;

	header->len = sizeof(*header) + (error ? 0 : bytes);
	header->error = -error;
	header->unique = unique;
	if (write(device, answer, header->len) < 0 && errno != ENOENT)
		exit(1);
}

static void describe(struct fuse_attr *facts, uint64_t node)
{
	facts->ino = node;
	facts->mode = node >= FILES ? S_IFREG | 0444 : S_IFDIR | 0755;
	facts->size = node >= FILES ? size : 0;
	facts->blocks = facts->size / 512 + 1;
	facts->nlink = 1;
	facts->blksize = 4096;
}

static void look_up(const struct fuse_in_header *header, const char *name)
{
	struct fuse_entry_out *entry = (void *)(answer + sizeof(struct fuse_out_header));
	uint64_t node = 0;

	if (header->nodeid == FUSE_ROOT_ID)
		node = !strcmp(name, "set") ? FOLDER_SET : !strcmp(name, "other") ? FOLDER_OTHER : 0;
	else if (header->nodeid < FILES && !strcmp(name, "file"))
		node = header->nodeid + 2;
	entry->nodeid = node;
	entry->entry_valid = entry->attr_valid = 3600;
	describe(&entry->attr, node);
	reply(header->unique, node ? 0 : ENOENT, sizeof(*entry));
}

static void serve(const struct fuse_in_header *header, const void *words)
{
	void *out = answer + sizeof(struct fuse_out_header);
	const struct fuse_read_in *wanted = words;
	uint64_t left;

	memset(answer, 0, 4096);
	switch (header->opcode) {
	case FUSE_INIT:
		((struct fuse_init_out *)out)->major = FUSE_KERNEL_VERSION;
		((struct fuse_init_out *)out)->minor = 31;
		((struct fuse_init_out *)out)->max_readahead = 128 * 1024;
		((struct fuse_init_out *)out)->max_write = 128 * 1024;
		reply(header->unique, 0, sizeof(struct fuse_init_out));
		return;
	case FUSE_LOOKUP:
		look_up(header, words);
		return;
	case FUSE_GETATTR:
		((struct fuse_attr_out *)out)->attr_valid = 3600;
		describe(&((struct fuse_attr_out *)out)->attr, header->nodeid);
		reply(header->unique, 0, sizeof(struct fuse_attr_out));
		return;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		((struct fuse_open_out *)out)->open_flags = open_flags;
		reply(header->unique, 0, sizeof(struct fuse_open_out));
		return;
	case FUSE_READ:
		left = wanted->offset < size ? size - wanted->offset : 0;
		left = left < wanted->size ? left : wanted->size;
		reply(header->unique, 0, left);
		return;
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_FLUSH:
		reply(header->unique, 0, 0);
		return;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		return;
	default:
		reply(header->unique, ENOSYS, 0);
	}
}

int main(int count, char **words)
{
	char options[128];

	if (count < 3)
		return 2;
	size = strtoull(words[2], NULL, 10);
	open_flags = count > 3 ? FOPEN_DIRECT_IO : 0;
	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other",
		 device);
	if (device < 0 || mount("vedette-test", words[1], "fuse", MS_NOSUID | MS_NODEV, options)) {
		perror(words[1]);
		return 1;
	}
	puts("serving");
	fflush(stdout);
	while (read(device, request, sizeof(request)) > 0)
		serve((void *)request, request + sizeof(struct fuse_in_header));
	return 0;
}
