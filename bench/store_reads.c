/*
 * For the bench only: reads of 4 KiB out of the page cache as fast as they go.
 *
 *   store_reads FILE_OF_STORE FILE_BESIDE_IT FILE_ELSEWHERE OBJECT
 *
 * One order per line on stdin, "COUNT WHAT"; one answer per line on stdout, "COUNT NANOSECONDS", of
 * CPU. WHAT: 0 to 2 the files in their order, 3 getppid() instead; 4 and 5 attach the programs of
 * store_reads.bpf.c, which is OBJECT, that do nothing and that look up; 6 detaches what is there.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FILES 3
#define ANOTHER_CALL 3
#define ATTACH_NOTHING 4
#define ATTACH_LOOK_UP 5
#define DETACH 6
#define BYTES 4096
/* Of a file that are read, over and over. */
#define BLOCKS 256

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static struct bpf_object *load(const char *path)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);

	if (!object || bpf_object__load(object)) {
		perror(path);
		exit(1);
	}
	return object;
}

static struct bpf_link *attach(struct bpf_object *object, const char *name)
{
	struct bpf_program *program = bpf_object__find_program_by_name(object, name);
	struct bpf_link *link = bpf_program__attach(program);

	if (!link) {
		perror("attach");
		exit(1);
	}
	return link;
}

static void make(const int *files, int count, int what)
{
	static char buffer[BYTES];

	for (int i = 0; i < count; i++) {
		if (what == ANOTHER_CALL) {
			syscall(SYS_getppid);
		} else if (pread(files[what], buffer, BYTES, i % BLOCKS * BYTES) != BYTES) {
			perror("pread");
			exit(1);
		}
	}
}

int main(int argc, char **argv)
{
	struct bpf_link *link = NULL;
	struct bpf_object *object;
	int files[FILES], count, what;

	if (argc != 2 + FILES)
		return 2;
	for (int i = 0; i < FILES; i++) {
		files[i] = open(argv[1 + i], O_RDONLY);
		if (files[i] < 0) {
			perror(argv[1 + i]);
			return 1;
		}
	}
	object = load(argv[1 + FILES]);
	printf("ready\n");
	fflush(stdout);
	while (scanf("%d %d", &count, &what) == 2) {
		uint64_t start = cpu_ns();

		if (what == ATTACH_NOTHING)
			link = attach(object, "store_reads_nothing");
		else if (what == ATTACH_LOOK_UP)
			link = attach(object, "store_reads_look_up");
		else if (what == DETACH)
			bpf_link__destroy(link);
		else
			make(files, count, what);
		printf("%d %llu\n", count, (unsigned long long)(cpu_ns() - start));
		fflush(stdout);
	}
	return 0;
}
