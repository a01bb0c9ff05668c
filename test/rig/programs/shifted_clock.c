// A wall clock that is wrong: LD_PRELOAD of one process, CLOCK_SHIFT_S seconds. The other clocks
// of the process, and those of everyone else, stay right.
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long shift_s(void)
{
  static long shift;
  static int known;
  const char *text;

  if (!known) {
    text = getenv("CLOCK_SHIFT_S");
    shift = text ? atol(text) : 0;
    known = 1;
  }
  return shift;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
  int result = (int)syscall(SYS_clock_gettime, clock, now);

  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    now->tv_sec += shift_s();
  return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
  int result = (int)syscall(SYS_gettimeofday, now, zone);

  if (result == 0)
    now->tv_sec += shift_s();
  return result;
}
