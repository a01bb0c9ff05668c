/* The control file: libnvidia-ml.so.1.control beside the library. Read at each call. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "standin.h"

/* The rest of the line `KEY VALUE`; 0 when there is none. */
static const char *control(const char *key, char *room) {
  Dl_info self;
  char path[4096], line[512];
  const char *found = 0;
  if (!dladdr((void *)&enter, &self)) return 0;
  snprintf(path, sizeof path, "%.4000s", self.dli_fname);
  strcpy(strrchr(path, '/') ? strrchr(path, '/') + 1 : path, "libnvidia-ml.so.1.control");
  FILE *file = fopen(path, "re");
  if (!file) return 0;
  while (fgets(line, sizeof line, file)) {
    line[strcspn(line, "\n")] = 0;
    size_t length = strlen(key);
    if (strncmp(line, key, length) || line[length] != ' ') continue;
    snprintf(room, 256, "%s", line + length + 1);
    found = room;
  }
  fclose(file);
  return found;
}

const char *value_of(int gpu, const char *item, char *room) {
  char key[128], name[256], format[256];
  snprintf(key, sizeof key, "%d.%s", gpu, item);
  const char *said = control(key, room);
  if (!said) said = control(item, room);
  if (said) return strcmp(said, "-") ? said : 0;
  const char *wanted = control("profile", name);
  const struct profile *profile = profiles;
  while (wanted && profile->name && strcmp(profile->name, wanted)) profile++;
  for (const struct answer *answer = profile->answers; answer && answer->item; answer++) {
    if (strcmp(answer->item, item)) continue;
    snprintf(format, sizeof format, "%s", answer->value);
    char *place = strstr(format, "%d");
    if (!place) return snprintf(room, 256, "%s", format), room;
    /* No number of a GPU has more than four digits. */
    snprintf(room, 256, "%.*s%d%.100s", (int)(place - format) % 100, format, gpu + 1, place + 2);
    return room;
  }
  return 0;
}

int enter(const char *function) {
  char key[128], room[256];
  snprintf(key, sizeof key, "hang.%s", function);
  const char *said = control(key, room);
  if (said) {
    long ms = atol(said);
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, 0);
  }
  snprintf(key, sizeof key, "status.%s", function);
  said = control(key, room);
  return said ? atoi(said) : SUCCESS;
}

int garbage(void) {
  char room[256];
  const char *said = control("garbage", room);
  return said ? atoi(said) : 0;
}
