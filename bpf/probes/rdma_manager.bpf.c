// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The connection manager of RDMA, which speaks of IP addresses and ports as TCP does.
 *
 * It tells a queue pair nothing itself: its user asks what to tell it, and does. So its answer is
 * kept for the thread that asked, and rdma.bpf.c joins the two. Only of iWARP it hears first that a
 * connection stands.
 */
#include "rdma.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define AF_IB 27

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

enum ib_cm_state {
	IB_CM_REQ_RCVD = 3,
	IB_CM_MRA_REQ_SENT = 4,
};

enum iw_cm_event_type {
	IW_CM_EVENT_CONNECT_REPLY = 2,
	IW_CM_EVENT_ESTABLISHED = 3,
};

struct __kernel_sockaddr_storage {
	u16 ss_family;
};

struct rdma_addr {
	struct __kernel_sockaddr_storage src_addr;
	struct __kernel_sockaddr_storage dst_addr;
};

struct rdma_route {
	struct rdma_addr addr;
};

struct rdma_cm_id {
	struct ib_device *device;
	struct rdma_route route;
};

struct ib_cm_id {
	enum ib_cm_state state;
};

struct rdma_id_private {
	struct rdma_cm_id id;
	union {
		struct ib_cm_id *ib;
	} cm_id;
	u32 qp_num;
};

struct iw_cm_id {
	void *context;
};

struct iw_cm_event {
	enum iw_cm_event_type event;
	int status;
};

#pragma clang attribute pop

/* sockaddr_in, sockaddr_in6 and sockaddr_ib in one: the same on every kernel. */
struct rdma_sockaddr {
	u16 family;
	u16 port;
	u32 v4;
	u32 v6[4];
	u64 service;
};

/* The address of an end, and its port; both stay 0 where there is none. */
static __always_inline u16 sockaddr_read(u32 *address, const void *from)
{
	struct rdma_sockaddr given = {};

	bpf_probe_read_kernel(&given, sizeof(given), from);
	switch (given.family) {
	case AF_INET:
		address[0] = 0;
		address[1] = 0;
		address[2] = __builtin_bswap32(0xffff);
		address[3] = given.v4;
		return __builtin_bswap16(given.port);
	case AF_INET6:
		__builtin_memcpy(address, given.v6, 16);
		return __builtin_bswap16(given.port);
	case AF_IB:
		/* In its place: a GID; and a service id, the last two bytes of which are the port. */
		__builtin_memcpy(address, given.v6, 16);
		return __builtin_bswap64(given.service);
	}
	return 0;
}

static __always_inline void ends_from_manager(struct rdma_ends *ends, struct rdma_cm_id *id)
{
	ends->local_port = sockaddr_read(ends->local_addr, &id->route.addr.src_addr);
	ends->remote_port = sockaddr_read(ends->remote_addr, &id->route.addr.dst_addr);
}

/* The connection manager answered what a queue pair must be told to become ready to receive. */
static __always_inline void on_attributes(struct rdma_cm_id *id, struct ib_qp_attr *attr,
					  int result)
{
	struct rdma_id_private *private = (void *)id;
	u64 thread = bpf_get_current_pid_tgid();
	struct rdma_ends ends = {};
	u32 state;

	if (result != 0 || BPF_CORE_READ(attr, qp_state) != QP_STATE_READY_TO_RECEIVE)
		return;
	ends_from_manager(&ends, id);
	ends.remote_qp_num = BPF_CORE_READ(attr, dest_qp_num);
	/* Who was called has a request at hand; who called, a reply. */
	state = BPF_CORE_READ(private, cm_id.ib, state);
	ends.direction = DIRECTION_OUTGOING;
	if (state == bpf_core_enum_value(enum ib_cm_state, IB_CM_REQ_RCVD) ||
	    state == bpf_core_enum_value(enum ib_cm_state, IB_CM_MRA_REQ_SENT))
		ends.direction = DIRECTION_ACCEPTED;
	bpf_map_update_elem(&rdma_answers, &thread, &ends, BPF_ANY);
}

/* Of iWARP, in a thread of the kernel. */
static __always_inline void on_iwarp_event(struct iw_cm_id *iwarp, struct iw_cm_event *event)
{
	struct rdma_id_private *private = BPF_CORE_READ(iwarp, context);
	u32 type = BPF_CORE_READ(event, event);
	struct queue_pair_key key = {};
	struct rdma_ends ends = { .transport = RDMA_TRANSPORT_IWARP };

	if (BPF_CORE_READ(event, status) != 0)
		return;
	if (type == bpf_core_enum_value(enum iw_cm_event_type, IW_CM_EVENT_CONNECT_REPLY))
		ends.direction = DIRECTION_OUTGOING;
	else if (type == bpf_core_enum_value(enum iw_cm_event_type, IW_CM_EVENT_ESTABLISHED))
		ends.direction = DIRECTION_ACCEPTED;
	else
		return;
	key.device = (u64)BPF_CORE_READ(private, id.device);
	key.qp_num = BPF_CORE_READ(private, qp_num);
	ends_from_manager(&ends, &private->id);
	pair_connect(bpf_map_lookup_elem(&queue_pairs, &key), &key, &ends, IB_QPT_RC);
}

SEC("fexit/rdma_init_qp_attr")
int BPF_PROG(rdma_attributes_fexit, struct rdma_cm_id *id, struct ib_qp_attr *attr, int *mask,
	     int result)
{
	on_attributes(id, attr, result);
	return 0;
}

SEC("fentry/cma_iw_handler")
int BPF_PROG(rdma_iwarp_fentry, struct iw_cm_id *iwarp, struct iw_cm_event *event)
{
	on_iwarp_event(iwarp, event);
	return 0;
}

/* From here on the second best way: kprobes. */

SEC("kprobe/rdma_init_qp_attr")
int BPF_KPROBE(rdma_attributes_kprobe, struct rdma_cm_id *id, struct ib_qp_attr *attr)
{
	struct call call = { .arguments = { (u64)id, (u64)attr } };

	call_begin(CALL_RDMA_ATTRIBUTES, &call);
	return 0;
}

SEC("kretprobe/rdma_init_qp_attr")
int BPF_KRETPROBE(rdma_attributes_kretprobe, int result)
{
	struct call call;

	if (call_end(CALL_RDMA_ATTRIBUTES, &call))
		on_attributes((void *)call.arguments[0], (void *)call.arguments[1], result);
	return 0;
}

SEC("kprobe/cma_iw_handler")
int BPF_KPROBE(rdma_iwarp_kprobe, struct iw_cm_id *iwarp, struct iw_cm_event *event)
{
	on_iwarp_event(iwarp, event);
	return 0;
}
