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
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Attempts between two looks at the clock. */
#define ATTEMPTS_AT_ONCE 64
/* An attempt takes about 10 microseconds of a core. */
#define THREADS 2

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

/* A socket that was refused can try again: making one would be most of the work. */
static void attempt(int own, uint64_t number)
{
	struct sockaddr_in to = {.sin_family = AF_INET};

	to.sin_port = htons(1 + number % 20000);
	to.sin_addr.s_addr = htonl(127 << 24 | 1 << 20 | (number & 0xfffff));
	if (connect(own, (struct sockaddr *)&to, sizeof(to)) == 0 || errno != ECONNREFUSED) {
		perror("connect");
		exit(1);
	}
}

struct order {
	uint64_t first;
	uint64_t attempts;
	uint64_t rate;
	uint64_t start;
};

static void *perform(void *given)
{
	const struct order *order = given;
	int own = socket(AF_INET, SOCK_STREAM, 0);

	for (uint64_t i = 0; i < order->attempts; i++) {
		attempt(own, order->first + i);
		if (order->rate && i % ATTEMPTS_AT_ONCE == 0)
			sleep_until(order->start + (i + 1) * 1000000000ull / order->rate);
	}
	close(own);
	return NULL;
}

int main(void)
{
	unsigned long long attempts, rate;
	uint64_t number = 0;

	setlinebuf(stdout);
	printf("ready\n");
	while (scanf("%llu %llu", &attempts, &rate) == 2) {
		struct order orders[THREADS];
		pthread_t threads[THREADS];
		uint64_t start = now_ns();

		for (int i = 0; i < THREADS; i++) {
			orders[i] = (struct order){number, attempts / THREADS, rate / THREADS, start};
			number += attempts / THREADS;
			pthread_create(&threads[i], NULL, perform, &orders[i]);
		}
		for (int i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		printf("%llu %llu\n", attempts, (unsigned long long)(now_ns() - start));
	}
	return 0;
}
