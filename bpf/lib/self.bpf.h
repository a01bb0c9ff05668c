/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The agent itself. What it asks of drivers and reads in order to report it is not reported: nobody
 * could tell it from what is looked for. It is known by what only the agent runs: our iterators.
 */
#ifndef VEDETTE_SELF_BPF_H
#define VEDETTE_SELF_BPF_H

#include "maps.bpf.h"

/* Thread group of the agent in the initial pid namespace; 0 until it ran an iterator. */
volatile u32 agent_tgid __weak;

/* At the beginning of an iterator. */
static __always_inline void agent_is_current(void)
{
	agent_tgid = bpf_get_current_pid_tgid() >> 32;
}

static __always_inline bool current_is_agent(void)
{
	return agent_tgid == bpf_get_current_pid_tgid() >> 32;
}

#endif
