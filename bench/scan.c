/*
 * For the bench only: attempts to connect on loopback, each to another address and port where
 * nobody listens, as fast as they go.
 *
 *   scan
 *
 * One order per line on stdin, "ATTEMPTS RATE" (per second, 0: as fast as it goes); one answer per
 * line on stdout, "ATTEMPTS NANOSECONDS".
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Attempts between two looks at the clock. */
#define ATTEMPTS_AT_ONCE 64

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

static void attempt(uint64_t number)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	int own = socket(AF_INET, SOCK_STREAM, 0);

	to.sin_port = htons(1 + number % 20000);
	to.sin_addr.s_addr = htonl(127 << 24 | 1 << 20 | (number & 0xfffff));
	if (own < 0) {
		perror("socket");
		exit(1);
	}
	connect(own, (struct sockaddr *)&to, sizeof(to));
	close(own);
}

int main(void)
{
	unsigned long long attempts, rate;
	uint64_t number = 0;

	setlinebuf(stdout);
	printf("ready\n");
	while (scanf("%llu %llu", &attempts, &rate) == 2) {
		uint64_t start = now_ns();

		for (uint64_t i = 0; i < attempts; i++) {
			attempt(number++);
			if (rate && i % ATTEMPTS_AT_ONCE == 0)
				sleep_until(start + (i + 1) * 1000000000ull / rate);
		}
		printf("%llu %llu\n", attempts, (unsigned long long)(now_ns() - start));
	}
	return 0;
}
