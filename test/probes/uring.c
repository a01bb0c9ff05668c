/*
 * Connects through io_uring, without the system call connect: for the probe tests.
 *
 *   uring PORT FLAGS      to 127.0.0.1; FLAGS of the request, 16 (IOSQE_ASYNC) in a worker
 *
 * Sends "through the ring" the same way, prints the result of the connection, and waits for the end
 * of its input. The system calls are made by number: no library is needed.
 */
#include <arpa/inet.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static int ring;
static struct io_uring_params params;
static unsigned char *queue;
static struct io_uring_sqe *entries;
static struct io_uring_cqe *results;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void ring_open(void)
{
	size_t bytes;

	ring = syscall(SYS_io_uring_setup, 4, &params);
	if (ring < 0)
		fail("io_uring_setup");
	bytes = params.cq_off.cqes + params.cq_entries * sizeof(*results);
	queue = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	entries = mmap(NULL, params.sq_entries * sizeof(*entries), PROT_READ | PROT_WRITE, MAP_SHARED,
		       ring, IORING_OFF_SQES);
	if (queue == MAP_FAILED || entries == MAP_FAILED)
		fail("mmap");
	results = (void *)(queue + params.cq_off.cqes);
}

/* One request at a time; its result. */
static int perform(const struct io_uring_sqe *request)
{
	uint32_t *tail = (void *)(queue + params.sq_off.tail);
	uint32_t *head = (void *)(queue + params.cq_off.head);
	uint32_t slot = *tail & (params.sq_entries - 1);
	int result;

	entries[slot] = *request;
	((uint32_t *)(queue + params.sq_off.array))[slot] = slot;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		fail("io_uring_enter");
	result = results[*head & (params.cq_entries - 1)].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return result;
}

int main(int count, char **words)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	static const char text[] = "through the ring";
	int own = socket(AF_INET, SOCK_STREAM, 0), result;
	struct io_uring_sqe connecting = {.opcode = IORING_OP_CONNECT, .fd = own};
	struct io_uring_sqe sending = {.opcode = IORING_OP_SEND, .fd = own};
	char input[64];

	if (count != 3)
		return 2;
	address.sin_port = htons(atoi(words[1]));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	connecting.flags = sending.flags = atoi(words[2]);
	connecting.addr = (uintptr_t)&address;
	connecting.off = sizeof(address);
	sending.addr = (uintptr_t)text;
	sending.len = sizeof(text) - 1;
	ring_open();
	result = perform(&connecting);
	if (result == 0)
		perform(&sending);
	printf("%d\n", result);
	fflush(stdout);
	while (read(0, input, sizeof(input)) > 0)
		;
	return 0;
}
