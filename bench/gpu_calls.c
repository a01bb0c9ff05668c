/*
 * For the bench only: calls to a device as fast as they go.
 *
 *   gpu_calls DEVICE OBJECT
 *
 * One order per line on stdin, "COUNT WHAT"; one answer per line on stdout, "COUNT NANOSECONDS", of
 * CPU. WHAT: 0 control commands as the driver of NVIDIA takes them, always the same; 1 one of 64
 * commands in turn; 2 getppid(), which no probe looks at; 3 the work of the probe alone
 * (gpu_calls.bpf.c, which is OBJECT), the middle of many rounds.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* _IOWR('F', 0x2a, 32). */
#define CONTROL 0xc020462a
/* Another type: only these calls are of interest to gpu_calls.bpf.c. */
#define CONTROL_OF_BENCH 0xc020be2a
/* As in gpu_calls.bpf.c. */
#define TIMES 64
#define ROUNDS 4001

struct control {
	uint32_t client;
	uint32_t object;
	uint32_t command;
	uint32_t flags;
	uint64_t params;
	uint32_t params_bytes;
	uint32_t status;
};

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int by_size(const void *one, const void *other)
{
	uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;

	return a < b ? -1 : a > b;
}

/* Nanoseconds of `count` calls in the probe. */
static uint64_t probe_ns(int fd, const char *path, uint64_t count)
{
	struct control control = { .client = 0xc1d00001, .command = 0x20801301 };
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	static uint64_t rounds[ROUNDS];
	struct bpf_link *link;
	struct bpf_map *map;
	uint32_t zero = 0;

	if (!object)
		fail(path);
	if (bpf_object__load(object))
		fail("load");
	link = bpf_program__attach(bpf_object__find_program_by_name(object, "gpu_calls_bench"));
	if (!link)
		fail("attach");
	map = bpf_object__find_map_by_name(object, "round_ns");
	for (int i = 0; i < ROUNDS; i++) {
		ioctl(fd, CONTROL_OF_BENCH, &control);
		bpf_map_lookup_elem(bpf_map__fd(map), &zero, &rounds[i]);
	}
	bpf_link__destroy(link);
	bpf_object__close(object);
	qsort(rounds, ROUNDS, sizeof(rounds[0]), by_size);
	return rounds[ROUNDS / 2] * count / TIMES;
}

static void make(int fd, int count, int what)
{
	struct control control = { .client = 0xc1d00001, .object = 0x5c000001 };

	for (int i = 0; i < count; i++) {
		control.command = 0x20801300 + (what == 1 ? i % 64 : 0);
		if (what < 2)
			ioctl(fd, CONTROL, &control);
		else
			syscall(SYS_getppid);
	}
}

int main(int argc, char **argv)
{
	int fd = argc == 3 ? open(argv[1], O_RDWR) : -1, count, what;

	if (fd < 0)
		fail("gpu_calls");
	printf("ready\n");
	fflush(stdout);
	while (scanf("%d %d", &count, &what) == 2) {
		uint64_t start = cpu_ns();

		if (what == 3) {
			start = probe_ns(fd, argv[2], count);
		} else {
			make(fd, count, what);
			start = cpu_ns() - start;
		}
		printf("%d %llu\n", count, (unsigned long long)start);
		fflush(stdout);
	}
	return 0;
}
