/*
 * For the bench only: packets on loopback, both ends in one process, as fast as they go.
 *
 *   packets
 *
 * One order per line on stdin, "COUNT WHAT"; one answer per line on stdout, "COUNT NANOSECONDS",
 * of CPU. WHAT: 0 a TCP stream in pieces of 64 KiB, 1 TCP requests and answers of one byte, 2
 * datagrams of 100 bytes between two connected sockets, 3 datagrams of 100 bytes, each to another
 * port.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIECE 65536
#define PORTS 20000

static char buffer[PIECE];

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* Of this process alone: others run on the machine, too. */
static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static struct sockaddr_in loopback(int port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return at;
}

static int bound(int type, struct sockaddr_in *at)
{
	socklen_t length = sizeof(*at);
	int fd = socket(AF_INET, type, 0);

	*at = loopback(0);
	if (fd < 0 || bind(fd, (void *)at, length) != 0 || getsockname(fd, (void *)at, &length) != 0)
		fail("bind");
	return fd;
}

static void connect_tcp(int pair[2])
{
	struct sockaddr_in at;
	int one = 1, listener = bound(SOCK_STREAM, &at);

	if (listen(listener, 1) != 0)
		fail("listen");
	pair[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(pair[0], (void *)&at, sizeof(at)) != 0)
		fail("connect");
	pair[1] = accept(listener, NULL, NULL);
	for (int i = 0; i < 2; i++)
		setsockopt(pair[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	close(listener);
}

static void connect_udp(int pair[2])
{
	struct sockaddr_in at[2];

	for (int i = 0; i < 2; i++)
		pair[i] = bound(SOCK_DGRAM, &at[i]);
	for (int i = 0; i < 2; i++)
		if (connect(pair[i], (void *)&at[1 - i], sizeof(at[0])) != 0)
			fail("connect");
}

static void pass(int from, int to, size_t bytes)
{
	if (write(from, buffer, bytes) != (ssize_t)bytes)
		fail("write");
	for (size_t got = 0; got < bytes;) {
		ssize_t one = read(to, buffer, bytes - got);

		if (one <= 0)
			fail("read");
		got += one;
	}
}

static void make(int count, int what, int tcp[2], int udp[2])
{
	for (int i = 0; i < count; i++) {
		struct sockaddr_in at = loopback(10000 + i % PORTS);

		switch (what) {
		case 0:
			pass(tcp[0], tcp[1], PIECE);
			break;
		case 1:
			pass(tcp[0], tcp[1], 1);
			pass(tcp[1], tcp[0], 1);
			break;
		case 2:
			pass(udp[0], udp[1], 100);
			break;
		default:
			/* Nobody is there: only the first of a thousand answers would be reported. */
			sendto(udp[2], buffer, 100, 0, (void *)&at, sizeof(at));
		}
	}
}

int main(void)
{
	int tcp[2], udp[3], count, what;

	connect_tcp(tcp);
	connect_udp(udp);
	udp[2] = socket(AF_INET, SOCK_DGRAM, 0);
	printf("ready\n");
	fflush(stdout);
	while (scanf("%d %d", &count, &what) == 2) {
		uint64_t start = cpu_ns();

		make(count, what, tcp, udp);
		printf("%d %llu\n", count, (unsigned long long)(cpu_ns() - start));
		fflush(stdout);
	}
	return 0;
}
