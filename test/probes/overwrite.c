/* Overwrites a file in place in a way that its name says, as what encrypts a store does. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static char bytes[1 << 20];

int main(int argc, char **argv)
{
	struct stat stat;
	int file, other;

	if (argc < 3)
		return 2;
	file = open(argv[2], O_RDWR);
	if (file < 0 || fstat(file, &stat) || stat.st_size > (off_t)sizeof(bytes))
		return 3;
	memset(bytes, 'z', sizeof(bytes));
	if (!strcmp(argv[1], "write")) {
		if (write(file, bytes, stat.st_size) != stat.st_size)
			return 4;
	} else if (!strcmp(argv[1], "pwritev")) {
		struct iovec part = { .iov_base = bytes, .iov_len = stat.st_size };

		if (pwritev(file, &part, 1, 0) != stat.st_size)
			return 4;
	} else if (!strcmp(argv[1], "mapping")) {
		char *at = mmap(NULL, stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

		if (at == MAP_FAILED)
			return 4;
		memcpy(at, bytes, stat.st_size);
		munmap(at, stat.st_size);
	} else if (!strcmp(argv[1], "copy") && argc > 3) {
		other = open(argv[3], O_RDONLY);
		if (copy_file_range(other, NULL, file, NULL, stat.st_size, 0) != stat.st_size)
			return 4;
	} else if (strcmp(argv[1], "none")) {
		return 2;
	}
	if (close(file))
		return 5;
	puts("done");
	return 0;
}
