/*
 * For the bench only: reads of 4 KiB out of the page cache as fast as they go.
 *
 *   store_reads FILE_OF_STORE FILE_BESIDE_IT FILE_ELSEWHERE
 *
 * One order per line on stdin, "COUNT WHAT"; one answer per line on stdout, "COUNT NANOSECONDS", of
 * CPU. WHAT: 0 to 2 the files in their order, 3 getppid() instead.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FILES 3
#define BYTES 4096
/* Of a file that are read, over and over. */
#define BLOCKS 256

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

int main(int argc, char **argv)
{
	static char buffer[BYTES];
	int files[FILES], count, what;

	if (argc != 1 + FILES)
		return 2;
	for (int i = 0; i < FILES; i++) {
		files[i] = open(argv[1 + i], O_RDONLY);
		if (files[i] < 0) {
			perror(argv[1 + i]);
			return 1;
		}
	}
	printf("ready\n");
	fflush(stdout);
	while (scanf("%d %d", &count, &what) == 2) {
		uint64_t start = cpu_ns();

		for (int i = 0; i < count; i++) {
			if (what >= FILES)
				syscall(SYS_getppid);
			else if (pread(files[what], buffer, BYTES, i % BLOCKS * BYTES) != BYTES)
				return 1;
		}
		printf("%d %llu\n", count, (unsigned long long)(cpu_ns() - start));
		fflush(stdout);
	}
	return 0;
}
