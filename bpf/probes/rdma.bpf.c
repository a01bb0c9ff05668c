// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * RDMA: which process connects a queue pair to which peer. The data then passes the kernel by; that
 * the queue pair is made, told its peer and destroyed does not.
 *
 * The three functions of ib_core behind every driver and both user interfaces (write and ioctl).
 * The change to "ready to receive" names the peer, also where the ends agreed by other means, as
 * NCCL does over TCP. Where the connection manager is used, it says a moment before, in the same
 * thread, what it will be: that gives addresses, ports and who called whom. iWARP never makes that
 * change: there the connection manager itself says when it stands.
 *
 * Datagram queue pairs have no peer; making an address handle names one. Told once per process and
 * address.
 *
 * Not seen: queue pairs connected before the agent started; datagrams on InfiniBand where the
 * driver makes address handles in user space; dynamically connected ones (DC) there; multicast.
 */
#include "rdma.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* From the user interface of RDMA (rdma/ib_user_verbs.h and its like): never change. */
#define QP_STATE_RESET 0
#define QP_MASK_STATE (1 << 0)
#define QP_MASK_ADDRESS (1 << 7)
#define QP_TYPE_DATAGRAM 4
#define ADDRESS_HAS_GLOBAL_ROUTE 1
#define ERROR_POINTER_MIN ((u64)-4095)

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ib_pd {
	struct ib_device *device;
};

#pragma clang attribute pop

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct told_key);
	__type(value, u64);
} rdma_handles_told SEC(".maps");

/* Where packets go by the address that the queue pair was given. */
static __always_inline void ends_from_address(struct rdma_ends *ends, struct rdma_ah_attr *to)
{
	u32 type = BPF_CORE_READ(to, type);

	ends->transport = RDMA_TRANSPORT_INFINIBAND;
	if (type == bpf_core_enum_value(enum rdma_ah_attr_type, RDMA_AH_ATTR_TYPE_ROCE))
		ends->transport = RDMA_TRANSPORT_ROCE;
	else if (type == bpf_core_enum_value(enum rdma_ah_attr_type, RDMA_AH_ATTR_TYPE_IB))
		ends->remote_lid = BPF_CORE_READ(to, ib.dlid);
	if (BPF_CORE_READ(to, ah_flags) & ADDRESS_HAS_GLOBAL_ROUTE)
		bpf_probe_read_kernel(ends->remote_addr, 16, &to->grh.dgid);
}

static __always_inline void on_pair_created(struct ib_qp *qp)
{
	struct queue_pair pair = {};
	struct queue_pair_key key = {};

	if (!qp || (u64)qp >= ERROR_POINTER_MIN || !scope_has_current())
		return;
	key.device = (u64)BPF_CORE_READ(qp, device);
	key.qp_num = BPF_CORE_READ(qp, qp_num);
	pair.qp_type = BPF_CORE_READ(qp, qp_type);
	pair_owned_by_current(&pair);
	if (bpf_map_update_elem(&queue_pairs, &key, &pair, BPF_ANY) != 0)
		fault_count(FAULT_QUEUE_PAIRS_FULL);
}

static __always_inline void on_pair_modified(struct ib_qp *qp, struct ib_qp_attr *attr, int mask,
					     int result)
{
	struct rdma_ends ends = {}, *answer;
	struct queue_pair_key key = {};
	struct queue_pair *known;
	const struct ib_gid_attr *local;
	u64 thread;
	u32 state;

	if (result != 0 || !(mask & QP_MASK_STATE))
		return;
	state = BPF_CORE_READ(attr, qp_state);
	if (state != QP_STATE_READY_TO_RECEIVE && state != QP_STATE_RESET)
		return;
	qp = BPF_CORE_READ(qp, real_qp);
	key.device = (u64)BPF_CORE_READ(qp, device);
	key.qp_num = BPF_CORE_READ(qp, qp_num);
	known = bpf_map_lookup_elem(&queue_pairs, &key);
	if (state == QP_STATE_RESET) {
		if (known && known->connected) {
			emit_rdma(known, (void *)key.device, key.qp_num, FLOW_REPORT_LAST,
				  bpf_ktime_get_boot_ns());
			known->connected = 0;
		}
		return;
	}
	if (!(mask & QP_MASK_ADDRESS))
		return;
	ends_from_address(&ends, &attr->ah_attr);
	ends.remote_qp_num = BPF_CORE_READ(attr, dest_qp_num);
	local = BPF_CORE_READ(qp, av_sgid_attr);
	if (local)
		bpf_probe_read_kernel(ends.local_addr, 16, &local->gid);
	thread = bpf_get_current_pid_tgid();
	answer = bpf_map_lookup_elem(&rdma_answers, &thread);
	if (answer && answer->remote_qp_num == ends.remote_qp_num) {
		__builtin_memcpy(ends.local_addr, answer->local_addr, 16);
		__builtin_memcpy(ends.remote_addr, answer->remote_addr, 16);
		ends.local_port = answer->local_port;
		ends.remote_port = answer->remote_port;
		ends.direction = answer->direction;
		bpf_map_delete_elem(&rdma_answers, &thread);
	}
	pair_connect(known, &key, &ends, BPF_CORE_READ(qp, qp_type));
}

static __always_inline void on_pair_destroyed(struct ib_qp *qp)
{
	struct queue_pair_key key = {};
	struct queue_pair *pair;

	key.device = (u64)BPF_CORE_READ(qp, device);
	key.qp_num = BPF_CORE_READ(qp, qp_num);
	pair = bpf_map_lookup_elem(&queue_pairs, &key);
	if (!pair)
		return;
	if (pair->connected)
		emit_rdma(pair, (void *)key.device, key.qp_num, FLOW_REPORT_LAST,
			  bpf_ktime_get_boot_ns());
	bpf_map_delete_elem(&queue_pairs, &key);
}

/* An address handle for a process: from now on it can send datagrams to there. */
static __always_inline void on_handle_create(struct ib_pd *pd, struct rdma_ah_attr *to)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct ib_device *device = BPF_CORE_READ(pd, device);
	struct queue_pair pair = {};
	struct told_key told = {};
	u32 *remote = pair.ends.remote_addr;
	u64 now;

	if (!scope_has_current())
		return;
	ends_from_address(&pair.ends, to);
	told.start_time = task->group_leader->start_boottime;
	told.pid = task->tgid;
	/* As good as the address: two that meet in 64 bits do not occur by chance. */
	told.object = ((u64)remote[0] << 32 | remote[1]) * 0x9e3779b97f4a7c15ull ^
		      ((u64)remote[2] << 32 | remote[3]);
	told.device = pair.ends.remote_lid;
	now = bpf_ktime_get_boot_ns();
	if (!told_first(&rdma_handles_told, &told, now, 0))
		return;
	pair_owned_by_current(&pair);
	pair.qp_type = QP_TYPE_DATAGRAM;
	pair.connection_id = opaque_id(now);
	emit_rdma(&pair, device, 0, FLOW_REPORT_FIRST, now);
}

SEC("fexit/ib_create_qp_user")
int BPF_PROG(rdma_create_fexit, void *device, void *pd, void *attr, void *udata, void *object,
	     void *caller, struct ib_qp *qp)
{
	on_pair_created(qp);
	return 0;
}

/* For user space. */
SEC("fexit/ib_modify_qp_with_udata")
int BPF_PROG(rdma_modify_fexit, struct ib_qp *qp, struct ib_qp_attr *attr, int mask, void *udata,
	     int result)
{
	on_pair_modified(qp, attr, mask, result);
	return 0;
}

/* For services in the kernel, such as NFS. */
SEC("fexit/ib_modify_qp")
int BPF_PROG(rdma_modify_kernel_fexit, struct ib_qp *qp, struct ib_qp_attr *attr, int mask,
	     int result)
{
	on_pair_modified(qp, attr, mask, result);
	return 0;
}

SEC("fentry/ib_destroy_qp_user")
int BPF_PROG(rdma_destroy_fentry, struct ib_qp *qp)
{
	on_pair_destroyed(qp);
	return 0;
}

SEC("fentry/rdma_create_user_ah")
int BPF_PROG(rdma_handle_fentry, struct ib_pd *pd, struct rdma_ah_attr *to)
{
	on_handle_create(pd, to);
	return 0;
}

/* From here on the second best way: pairs of kprobes. */

SEC("kretprobe/ib_create_qp_user")
int BPF_KRETPROBE(rdma_create_kretprobe, struct ib_qp *qp)
{
	on_pair_created(qp);
	return 0;
}

static __always_inline void modify_begin(struct ib_qp *qp, struct ib_qp_attr *attr, int mask)
{
	struct call call = { .arguments = { (u64)qp, (u64)attr, mask } };

	call_begin(CALL_RDMA_MODIFY, &call);
}

static __always_inline void modify_end(int result)
{
	struct call call;

	if (call_end(CALL_RDMA_MODIFY, &call))
		on_pair_modified((void *)call.arguments[0], (void *)call.arguments[1],
				 call.arguments[2], result);
}

SEC("kprobe/ib_modify_qp_with_udata")
int BPF_KPROBE(rdma_modify_kprobe, struct ib_qp *qp, struct ib_qp_attr *attr, int mask)
{
	modify_begin(qp, attr, mask);
	return 0;
}

SEC("kretprobe/ib_modify_qp_with_udata")
int BPF_KRETPROBE(rdma_modify_kretprobe, int result)
{
	modify_end(result);
	return 0;
}

SEC("kprobe/ib_modify_qp")
int BPF_KPROBE(rdma_modify_kernel_kprobe, struct ib_qp *qp, struct ib_qp_attr *attr, int mask)
{
	modify_begin(qp, attr, mask);
	return 0;
}

SEC("kretprobe/ib_modify_qp")
int BPF_KRETPROBE(rdma_modify_kernel_kretprobe, int result)
{
	modify_end(result);
	return 0;
}

SEC("kprobe/ib_destroy_qp_user")
int BPF_KPROBE(rdma_destroy_kprobe, struct ib_qp *qp)
{
	on_pair_destroyed(qp);
	return 0;
}

SEC("kprobe/rdma_create_user_ah")
int BPF_KPROBE(rdma_handle_kprobe, struct ib_pd *pd, struct rdma_ah_attr *to)
{
	on_handle_create(pd, to);
	return 0;
}
