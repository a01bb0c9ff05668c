/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * For the bench only: records of connections that nobody made, written by the code of the probes
 * (reserve, zero, count, stamp, submit) into the ring and the counters of a running agent. What a
 * real connection costs beside that, system calls and the TCP stack, is left out: it would hide
 * the path that is measured.
 *
 * Shaped as on a busy node: PROCESSES_MAX processes, 4,096 remote addresses, ephemeral ports, each
 * open followed by its close with bytes, duration and round-trip time spread over decades. The
 * addresses lie in zones of sample-batches.ts, so that detectors have something to compare.
 */
#include "record.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define PROCESSES_MAX 64
/* 10.10.0.5, ingestion. */
#define LOCAL_HOST (10 << 16 | 5)

/* Given to each run. */
struct flood_order {
	/* Connections to write: two records each. */
	u32 connections;
	/* Where the numbers go on. */
	u32 first;
};

struct flood_state {
	u32 first;
	u32 random;
};

static __always_inline u32 random_next(struct flood_state *state)
{
	/* xorshift: bpf_get_prandom_u32 would be most of the cost. */
	u32 x = state->random;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	state->random = x;
	return x;
}

static __always_inline void who_fill(struct record_header *who, u32 process)
{
	who->pid = 1000 + process * 37;
	who->start_time = 5000000000ull + process * 1234567891ull;
	who->ppid = 900 + process % 4;
	who->parent_start_time = 4000000000ull + process % 4;
	who->uid = 1000 + process % 3;
	who->cgroup_id = 70000 + process % 16;
	__builtin_memcpy(who->comm, "worker-00", 10);
	who->comm[7] = '0' + (process >> 3 & 7);
	who->comm[8] = '0' + (process & 7);
}

static __always_inline void address_fill(u8 *to, u32 host)
{
	u32 *words = (u32 *)to;

	words[2] = __builtin_bswap32(0xffff);
	words[3] = __builtin_bswap32(0x0a000000 | host);
}

static long connection_write(u64 index, struct flood_state *state)
{
	u32 number = state->first + index, random = random_next(state);
	u32 process = random % PROCESSES_MAX, remote = random >> 8 & 4095;
	u32 port = 32768 + random_next(state) % 28232, shift = random >> 24 & 15;
	bool outgoing = random & 0x100000;
	u8 direction = outgoing ? DIRECTION_OUTGOING : DIRECTION_ACCEPTED;
	/* Outgoing to training, accepted from storage: as the policy allows. */
	u32 remote_zone = outgoing ? 20 << 16 : 50 << 16;
	struct connection_close *close;
	struct connection_open *open;

	open = record_reserve(KIND_CONNECTION_OPEN, sizeof(*open), bpf_ktime_get_boot_ns(), 0);
	if (open) {
		who_fill(&open->header, process);
		address_fill(open->local_addr, LOCAL_HOST);
		address_fill(open->remote_addr, remote_zone + remote);
		open->connection_id = number;
		open->netns = 4026531840u;
		open->local_port = port;
		open->remote_port = 9000 + process % 8;
		open->protocol = PROTOCOL_TCP;
		open->direction = direction;
		open->process_source = PROCESS_SOURCE_CALLER;
		record_submit(open);
	}
	close = record_reserve(KIND_CONNECTION_CLOSE, sizeof(*close), bpf_ktime_get_boot_ns(), 0);
	if (close) {
		who_fill(&close->header, process);
		address_fill(close->local_addr, LOCAL_HOST);
		address_fill(close->remote_addr, remote_zone + remote);
		close->connection_id = number;
		close->bytes_sent = (random_next(state) & 1023) << shift;
		close->bytes_received = (random_next(state) & 1023) << (shift >> 1);
		close->duration_ns = 100000ull + (random_next(state) & 0xfffff) * (1 + shift);
		close->netns = 4026531840u;
		close->rtt_us = 20 + (random_next(state) & 511);
		close->local_port = port;
		close->remote_port = 9000 + process % 8;
		close->protocol = PROTOCOL_TCP;
		close->direction = direction;
		close->process_source = PROCESS_SOURCE_CALLER;
		record_submit(close);
	}
	return 0;
}

SEC("syscall")
int flood(struct flood_order *order)
{
	struct flood_state state = {
		.first = order->first,
		.random = order->first * 2654435761u | 1,
	};

	bpf_loop(order->connections, connection_write, &state, 0);
	return 0;
}
