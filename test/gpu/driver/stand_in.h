/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* The two parts of the stand-in. */
#ifndef STAND_IN_H
#define STAND_IN_H

#include <linux/types.h>

#ifndef NV_VERSION
#define NV_VERSION "570.211.01"
#endif

/* `delay_ms` can then be set from outside. */
void files_add(u32 *delay_ms);
void files_remove(void);

#endif
