/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* RDMA: queue pairs, and how a connected one is remembered and told. For both of its probes. */
#ifndef VEDETTE_RDMA_BPF_H
#define VEDETTE_RDMA_BPF_H

#include "calls.bpf.h"
#include "identity.bpf.h"
#include "scope.bpf.h"
#include "told.bpf.h"

/* From the user interface of RDMA (rdma/ib_user_verbs.h and its like): never change. */
#define QP_STATE_READY_TO_RECEIVE 2

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

enum rdma_ah_attr_type {
	RDMA_AH_ATTR_TYPE_IB = 1,
	RDMA_AH_ATTR_TYPE_ROCE = 2,
};

enum ib_qp_state {
	IB_QPS_RESET,
};

enum ib_qp_type {
	IB_QPT_RC = 2,
};

union ib_gid {
	u8 raw[16];
};

struct ib_device {
	char name[64];
};

struct ib_gid_attr {
	union ib_gid gid;
};

struct ib_global_route {
	union ib_gid dgid;
};

struct ib_ah_attr {
	u16 dlid;
};

struct rdma_ah_attr {
	struct ib_global_route grh;
	u8 ah_flags;
	enum rdma_ah_attr_type type;
	struct ib_ah_attr ib;
};

struct ib_qp {
	struct ib_device *device;
	struct ib_qp *real_qp;
	const struct ib_gid_attr *av_sgid_attr;
	u32 qp_num;
	enum ib_qp_type qp_type;
};

struct ib_qp_attr {
	enum ib_qp_state qp_state;
	u32 dest_qp_num;
	struct rdma_ah_attr ah_attr;
};

#pragma clang attribute pop

/* Where it goes, as far as is known. */
struct rdma_ends {
	u32 local_addr[4];
	u32 remote_addr[4];
	u32 remote_qp_num;
	u32 remote_lid;
	u16 local_port;
	u16 remote_port;
	u8 direction;
	u8 transport;
	u8 _pad[2];
};

struct queue_pair_key {
	u64 device;
	u64 qp_num;
};

struct queue_pair {
	struct record_header who;
	struct rdma_ends ends;
	u64 connection_id;
	/* 0: not connected. */
	u64 connected;
	u32 netns;
	u8 qp_type;
	u8 _pad[3];
};

/* Queue pairs that a process made, until they are destroyed. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct queue_pair_key);
	__type(value, struct queue_pair);
} queue_pairs __weak SEC(".maps");

/* What the connection manager said to a thread, which asks and uses it at once. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, u64);
	__type(value, struct rdma_ends);
} rdma_answers __weak SEC(".maps");

static __always_inline void emit_rdma(const struct queue_pair *pair, struct ib_device *device,
				      u32 qp_num, u8 report, u64 now)
{
	struct rdma_connection *record;

	record = record_reserve(KIND_RDMA_CONNECTION, sizeof(*record), now, pair->who.cgroup_id);
	if (!record)
		return;
	identity_copy(&record->header, &pair->who);
	bpf_probe_read_kernel_str(record->device, sizeof(record->device), &device->name);
	__builtin_memcpy(record->local_addr, pair->ends.local_addr, 16);
	__builtin_memcpy(record->remote_addr, pair->ends.remote_addr, 16);
	record->connection_id = pair->connection_id;
	if (pair->connected)
		record->duration_ns = now - pair->connected;
	record->qp_num = qp_num;
	record->remote_qp_num = pair->ends.remote_qp_num;
	record->netns = pair->netns;
	record->remote_lid = pair->ends.remote_lid;
	record->local_port = pair->ends.local_port;
	record->remote_port = pair->ends.remote_port;
	record->protocol = PROTOCOL_RDMA;
	record->direction = pair->ends.direction;
	record->qp_type = pair->qp_type;
	record->transport = pair->ends.transport;
	record->report = report;
	record_submit(record);
}

/* The current process, unless it is a thread of the kernel that acts for somebody unknown. */
static __always_inline void pair_owned_by_current(struct queue_pair *pair)
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (task->flags & TASK_FLAG_KERNEL_THREAD)
		return;
	identity_fill(&pair->who, task);
	pair->netns = BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
}

/* Tells that it was connected, and remembers. `known`: its entry, NULL when there is none. */
static __always_inline void pair_connect(struct queue_pair *known, struct queue_pair_key *key,
					 const struct rdma_ends *ends, u8 qp_type)
{
	u64 now = bpf_ktime_get_boot_ns();
	struct queue_pair pair = {};

	if (known) {
		pair = *known;
	} else {
		/* Made before our time, or by the kernel itself for one of its own services. */
		if (!scope_has_current())
			return;
		pair.qp_type = qp_type;
		pair_owned_by_current(&pair);
	}
	if (pair.connected)
		emit_rdma(&pair, (void *)key->device, key->qp_num, FLOW_REPORT_LAST, now);
	pair.ends = *ends;
	pair.connected = now;
	pair.connection_id = opaque_id(now);
	if (bpf_map_update_elem(&queue_pairs, key, &pair, BPF_ANY) != 0)
		fault_count(FAULT_QUEUE_PAIRS_FULL);
	emit_rdma(&pair, (void *)key->device, key->qp_num, FLOW_REPORT_FIRST, now);
}

#endif
