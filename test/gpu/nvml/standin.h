/* What the stand-in for libnvidia-ml.so.1 answers: a profile, changed by a control file. */
#ifndef STANDIN_H
#define STANDIN_H

#include <stdint.h>

enum {
  SUCCESS = 0,
  INVALID_ARGUMENT = 2,
  NOT_SUPPORTED = 3,
  NOT_FOUND = 6,
  CORRUPTED_INFOROM = 14,
  ARGUMENT_VERSION_MISMATCH = 25,
};

/* A GPU handle is its number and this, so that a wrong one is seen. */
#define HANDLE_BASE 0x6700000000ull

struct answer {
  const char *item;
  const char *value;
};

struct profile {
  const char *name;
  /* Ends with {0}. What is not here is NOT_SUPPORTED. */
  const struct answer *answers;
};

extern const struct profile profiles[];

/*
 * Of a GPU (-1: of the node). From the control file `ITEM VALUE` or `GPU.ITEM VALUE`, else from the
 * profile that it names. 0 when there is none, or the control file says `-`. `room` has 256 bytes.
 */
const char *value_of(int gpu, const char *item, char *room);

/*
 * At the beginning of each function: hangs (`hang.FUNCTION MILLISECONDS`) and fails
 * (`status.FUNCTION CODE`) as the control file says.
 */
int enter(const char *function);

/* `garbage 1`: texts without an end, absurd numbers; 2: of as many GPUs as there are. */
int garbage(void);

#endif
