/*
 * For the bench only: runs flood.bpf.c at a given rate against the ring of a running agent.
 *
 *   flood OBJECT PROGRAM_ID
 *
 * PROGRAM_ID is any loaded program of the agent: its maps named ring and counters are used. One
 * order per line on stdin, "RECORDS RATE" (records per second, 0: as fast as it goes); one answer
 * per line on stdout, "RECORDS NANOSECONDS". Ends with stdin.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Of struct flood_order. */
struct order {
	uint32_t connections;
	uint32_t first;
};

/* Connections in one run: a quarter of a millisecond at a million records per second. */
#define RUN_CONNECTIONS 128

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

/* A descriptor of the map of that name which a loaded program uses. */
static int map_of_program(uint32_t program_id, const char *name)
{
	int program = bpf_prog_get_fd_by_id(program_id);
	uint32_t ids[64] = {};
	struct bpf_prog_info info = {};
	uint32_t bytes = sizeof(info);

	if (program < 0)
		fail("the program of the agent");
	info.nr_map_ids = 64;
	info.map_ids = (uintptr_t)ids;
	if (bpf_obj_get_info_by_fd(program, &info, &bytes))
		fail("its maps");
	close(program);
	for (uint32_t i = 0; i < info.nr_map_ids && i < 64; i++) {
		struct bpf_map_info map = {};
		int fd = bpf_map_get_fd_by_id(ids[i]);

		bytes = sizeof(map);
		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &map, &bytes) && !strcmp(map.name, name))
			return fd;
		close(fd);
	}
	fprintf(stderr, "program %u has no map %s\n", program_id, name);
	exit(1);
}

static int load(const char *path, uint32_t program_id)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	const char *shared[] = {"ring", "counters"};

	if (!object)
		fail(path);
	for (int i = 0; i < 2; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(object, shared[i]);

		if (!map || bpf_map__reuse_fd(map, map_of_program(program_id, shared[i])))
			fail(shared[i]);
	}
	if (bpf_object__load(object))
		fail("load");
	return bpf_program__fd(bpf_object__find_program_by_name(object, "flood"));
}

static void run(int program, uint32_t first, uint32_t connections)
{
	struct order order = {.connections = connections, .first = first};
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &order, .ctx_size_in = sizeof(order));

	if (bpf_prog_test_run_opts(program, &options))
		fail("run");
}

/* Behind its schedule it does not wait: the rate holds over the whole order. */
static void sleep_until(uint64_t due)
{
	struct timespec at = {.tv_sec = due / 1000000000ull, .tv_nsec = due % 1000000000ull};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

int main(int count, char **words)
{
	unsigned long long records, rate;
	uint32_t first = 1;
	int program;

	if (count != 3) {
		fprintf(stderr, "use: flood OBJECT PROGRAM_ID\n");
		return 2;
	}
	program = load(words[1], atoi(words[2]));
	setlinebuf(stdout);
	printf("ready\n");
	while (scanf("%llu %llu", &records, &rate) == 2) {
		uint64_t start = now_ns(), written = 0;

		while (written < records) {
			uint64_t left = (records - written + 1) / 2;
			uint32_t connections = left < RUN_CONNECTIONS ? left : RUN_CONNECTIONS;

			run(program, first, connections);
			first += connections;
			written += 2 * connections;
			if (rate)
				sleep_until(start + written * 1000000000ull / rate);
		}
		printf("%llu %llu\n", (unsigned long long)written,
		       (unsigned long long)(now_ns() - start));
	}
	return 0;
}
