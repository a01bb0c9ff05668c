/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The maps and settings that all probes share. Weak: each probe file compiles alone, and the linked
 * object holds one of each. A map of one probe only is in that probe's file.
 */
#ifndef VEDETTE_MAPS_BPF_H
#define VEDETTE_MAPS_BPF_H

#include "kernel.bpf.h"
#include "events.h"

/* Settings, fixed before the load: the verifier then drops the branches that cannot run. */

/* Id of the cgroup v2 that the agent is limited to, and its depth (root: 0). 0: the whole node. */
const volatile u64 scope_cgroup_id __weak = 0;
const volatile int scope_cgroup_level __weak = 0;
/* Sets of the table of sockets (sockets.bpf.h). */
const volatile u32 socket_sets __weak = 1;
/* A program sees accept() return: it, not the handshake, reports accepted connections. */
const volatile bool accept_visible __weak = false;
/* A program sees connect() return: it reports attempts that the node itself refused. */
const volatile bool connect_visible __weak = false;

/* Records of each class that a cgroup may make per second, and 10^9 by that. 0: no quota. */
const volatile u32 quota_per_s __weak = 0;
const volatile u64 quota_cost_ns __weak = 0;
/* Like connections of a process to one peer that are told per second. 0: all of them. */
const volatile u32 repeats_told __weak = 0;
/* Makes the hash of a peer one that a workload cannot foresee. */
const volatile u32 repeats_seed __weak = 0;

/* Where records wait. The size is set by the loader. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 * 1024 * 1024);
} ring __weak SEC(".maps");

/*
 * Account of one kind of record: produced = what reached the ring + lost. What was over the quota
 * of its cgroup is part of lost.
 */
struct counter {
	u64 produced;
	u64 lost;
	u64 over_quota;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KINDS_MAX);
	__type(key, u32);
	__type(value, struct counter);
} counters __weak SEC(".maps");

/*
 * What can go wrong in the kernel without losing a whole record. The loader reads these names from
 * the BTF of the object: a new one needs no change elsewhere.
 */
enum fault {
	/* `sockets` was full: the connection is reported without its process. */
	FAULT_SOCKETS_FULL,
	/* The kernel had no memory to mark a listening socket with its process. */
	FAULT_LISTENER_UNMARKED,
	/* The argument vector was not in memory. */
	FAULT_ARGS_UNREADABLE,
	/* More calls in progress than fit `calls`: what this one did is not seen. */
	FAULT_CALLS_FORGOTTEN,
	/* An entry of `sockets` was of an earlier socket at the same address: its end was missed. */
	FAULT_SOCKET_STALE,
	/* Another CPU took the place in `sockets` at the same moment: as when it is full. */
	FAULT_SOCKETS_BUSY,
	/* `flows` was full: the flow that was quiet for longest was forgotten. */
	FAULT_FLOWS_EVICTED,
	/* A flow could not be remembered: each of its packets is reported as a first one. */
	FAULT_FLOWS_FULL,
	/* The kernel had no memory to mark a datagram socket with its process. */
	FAULT_DATAGRAM_SOCKET_UNMARKED,
	/* `listening_ports` was full: connections of the start may have the wrong direction. */
	FAULT_PORTS_FULL,
	/* `vsock_sockets` was full: a vsock connection is not seen. */
	FAULT_VSOCK_SOCKETS_FULL,
	/* `queue_pairs` was full: of an RDMA connection the end is not seen, or the process. */
	FAULT_QUEUE_PAIRS_FULL,
	/* `gpu_calls` was full: the calls that were quiet for longest were forgotten. */
	FAULT_GPU_CALLS_EVICTED,
	/* Calls could not be remembered: they are not told. */
	FAULT_GPU_CALLS_FULL,
	/* `store_reads` was full: the readers that were quiet for longest were forgotten. */
	FAULT_STORE_READS_EVICTED,
	/* A reader of a store could not be remembered: what it read is not told. */
	FAULT_STORE_READS_FULL,
	/* A file of which the kernel knew no name: it may belong to a store. */
	FAULT_STORE_FILE_UNNAMED,
	/* A path was in the making on this CPU by a program that waits for it: a read has no path. */
	FAULT_STORE_PATH_BUSY,
	/* More files of stores were open for writing than fit: the oldest were forgotten. */
	FAULT_STORE_OPEN_FILES_EVICTED,
	FAULTS_MAX,
};

/* Nothing reads it: a variable of the type keeps the names in the BTF (map keys are no enums). */
const volatile enum fault fault_names __weak = FAULTS_MAX;

/*
 * Likewise: records live in the ring, which has no type. With these in the BTF, a test compares
 * what the compiler made of them with the layouts that were released.
 */
union record {
	struct process_exec process_exec;
	struct process_exit process_exit;
	struct process_orphan process_orphan;
	struct process_stdio process_stdio;
	struct connection_open connection_open;
	struct connection_close connection_close;
	struct connection_failed connection_failed;
	struct listen listen;
	struct datagram_flow datagram_flow;
	struct connection_repeat connection_repeat;
	struct unix_connection unix_connection;
	struct vsock_connection vsock_connection;
	struct raw_socket raw_socket;
	struct socket_received socket_received;
	struct rdma_connection rdma_connection;
	struct kernel_module kernel_module;
	struct firmware_load firmware_load;
	struct runtime_hook runtime_hook;
	struct driver_setting driver_setting;
	struct cgroup_flood cgroup_flood;
	struct dns_answer dns_answer;
	struct secret_read secret_read;
	struct shared_file_written shared_file_written;
	struct gpu_device_open gpu_device_open;
	struct gpu_call gpu_call;
	struct connection_totals connection_totals;
	struct store_read store_read;
	struct store_write store_write;
	struct store_listing store_listing;
};
const union record *const volatile record_layouts __weak = NULL;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FAULTS_MAX);
	__type(key, u32);
	__type(value, u64);
} faults __weak SEC(".maps");

#endif
