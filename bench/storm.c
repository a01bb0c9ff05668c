/*
 * For the bench only: short TCP connections on loopback, one after the other, as fast as they go.
 *
 *   storm
 *
 * One order per line on stdin, "CONNECTIONS RATE" (per second, 0: as fast as it goes); one answer
 * per line on stdout, "CONNECTIONS NANOSECONDS". One process is both ends: connect, accept, one
 * byte, close of both. The client ends with a reset, so that no port waits in TIME_WAIT.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

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

static void sleep_until(uint64_t due)
{
	struct timespec at = {.tv_sec = due / 1000000000ull, .tv_nsec = due % 1000000000ull};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static int listen_anywhere(struct sockaddr_in *at)
{
	socklen_t bytes = sizeof(*at);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	if (listener < 0 || bind(listener, (struct sockaddr *)at, bytes) || listen(listener, 64))
		fail("listen");
	if (getsockname(listener, (struct sockaddr *)at, &bytes))
		fail("getsockname");
	return listener;
}

static void connect_once(int listener, const struct sockaddr_in *to)
{
	struct linger reset = {.l_onoff = 1, .l_linger = 0};
	int client = socket(AF_INET, SOCK_STREAM, 0), server;
	char byte = 'v';

	if (client < 0 || connect(client, (struct sockaddr *)to, sizeof(*to)))
		fail("connect");
	server = accept(listener, NULL, NULL);
	if (server < 0 || write(client, &byte, 1) != 1 || read(server, &byte, 1) != 1)
		fail("accept");
	setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(client);
	close(server);
}

int main(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	unsigned long long connections, rate;
	int listener = listen_anywhere(&at);

	setlinebuf(stdout);
	printf("ready\n");
	while (scanf("%llu %llu", &connections, &rate) == 2) {
		uint64_t start = now_ns();

		for (uint64_t i = 0; i < connections; i++) {
			connect_once(listener, &at);
			if (rate)
				sleep_until(start + (i + 1) * 1000000000ull / rate);
		}
		printf("%llu %llu\n", connections, (unsigned long long)(now_ns() - start));
	}
	return 0;
}
