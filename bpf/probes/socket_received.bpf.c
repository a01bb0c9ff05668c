// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * TCP and UDP sockets that come to a process through a descriptor of another one: passed over a
 * Unix socket, or taken with pidfd_getfd. From then on two processes act on one connection, and the
 * events of the connection name the first.
 *
 * security_file_receive is the one function behind all of it, by fentry or kprobe. Where neither is
 * allowed, the first use of TCP shows it: whoever sends or receives on a connection and is neither
 * the process of the connection nor one of its descendants, which inherit descriptors by fork.
 */
#include "connection_record.bpf.h"
#include "datagram_socket.bpf.h"
#include "scope.bpf.h"
#include "socket_file.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The same on every architecture that is newer than the call; ioctl is not. */
#define SYSCALL_PIDFD_GETFD 438
#ifdef __TARGET_ARCH_x86
#define SYSCALL_IOCTL 16
#else
#define SYSCALL_IOCTL 29
#endif

/* Ancestors that are asked for; a container's init is rarely farther away. */
#define ANCESTORS_MAX 16

static __always_inline u32 current_syscall(void)
{
	struct pt_regs *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());

#ifdef __TARGET_ARCH_x86
	return BPF_CORE_READ(regs, orig_ax);
#else
	return BPF_CORE_READ((struct pt_regs___aarch64 *)regs, syscallno);
#endif
}

/* The descriptor is made inside the call that asks for it. */
static __always_inline u8 current_mechanism(void)
{
	switch (current_syscall()) {
	case SYSCALL_PIDFD_GETFD:
		return DESCRIPTOR_MECHANISM_PIDFD_GETFD;
	case SYSCALL_IOCTL:
		return DESCRIPTOR_MECHANISM_OTHER;
	}
	return DESCRIPTOR_MECHANISM_SCM_RIGHTS;
}

static __always_inline bool is_current(const struct record_header *who)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return who->pid == task->tgid && who->start_time == task->group_leader->start_boottime;
}

/* `owner`: whose it was; NULL when that is not known. */
static __always_inline void emit_received(struct sock *sk, const struct record_header *owner,
					  u8 mechanism)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct socket_received *record;
	struct endpoint end = {};

	endpoint_read(&end, sk);
	record = record_reserve(KIND_SOCKET_RECEIVED, sizeof(*record), bpf_ktime_get_boot_ns(),
				cgroup_id_of(task));
	if (!record)
		return;
	identity_fill(&record->header, task);
	__builtin_memcpy(record->local_addr, end.local_addr, 16);
	__builtin_memcpy(record->remote_addr, end.remote_addr, 16);
	record->connection_id = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	if (owner) {
		record->owner_start_time = owner->start_time;
		record->owner_pid = owner->pid;
	}
	record->netns = end.netns;
	record->local_port = end.local_port;
	record->remote_port = end.remote_port;
	record->protocol = BPF_CORE_READ(sk, sk_protocol);
	record->mechanism = mechanism;
	record_submit(record);
}

static __always_inline struct socket_entry *entry_of(struct sock *sk)
{
	struct socket_entry *entry = place_find(address_of(sk)).entry;

	if (!entry || !entry->who.pid)
		return NULL;
	if (entry->cookie != BPF_CORE_READ(sk, __sk_common.skc_cookie.counter))
		return NULL;
	return entry;
}

/*
 * Whose it was. `trusted` is the same socket where the verifier lets us ask for its mark, else
 * NULL. `found` says whether it is one to tell of: connected, listening or bound to a port.
 */
static __always_inline struct record_header *owner_of(struct sock *sk, struct sock *trusted,
						      bool *found)
{
	struct datagram_socket *datagrams;
	struct socket_entry *entry;
	struct listener *listener;
	u8 state;

	if (BPF_CORE_READ(sk, sk_protocol) == PROTOCOL_UDP) {
		*found = BPF_CORE_READ((struct inet_sock *)sk, inet_sport) != 0;
		datagrams = trusted ? bpf_sk_storage_get(&datagram_sockets, trusted, NULL, 0) : NULL;
		return datagrams && datagrams->who.pid ? &datagrams->who : NULL;
	}
	if (BPF_CORE_READ(sk, sk_protocol) != PROTOCOL_TCP)
		return NULL;
	state = BPF_CORE_READ(sk, __sk_common.skc_state);
	*found = state != TCP_STATE_CLOSE;
	if (state == TCP_STATE_LISTEN) {
		listener = trusted ? bpf_sk_storage_get(&listeners, trusted, NULL, 0) : NULL;
		return listener ? &listener->who : NULL;
	}
	entry = entry_of(sk);
	return entry ? &entry->who : NULL;
}

static __always_inline void on_received(struct file *file, struct sock *trusted)
{
	struct sock *sk = inet_socket_of(file);
	struct record_header *owner;
	bool found = false;

	if (!sk || !scope_has_current())
		return;
	owner = owner_of(sk, trusted, &found);
	/* The second: back again. */
	if (!found || (owner && is_current(owner)))
		return;
	emit_received(sk, owner, current_mechanism());
}

SEC("fentry/security_file_receive")
int BPF_PROG(socket_received_fentry, struct file *file)
{
	struct socket *socket = bpf_sock_from_file(file);

	if (socket)
		on_received(file, socket->sk);
	return 0;
}

SEC("kprobe/security_file_receive")
int BPF_KPROBE(socket_received_kprobe, struct file *file)
{
	on_received(file, NULL);
	return 0;
}

static __always_inline bool descends_from(const struct record_header *owner)
{
	struct task_struct *task = bpf_get_current_task_btf();

	for (int i = 0; i < ANCESTORS_MAX; i++) {
		task = BPF_CORE_READ(task, real_parent);
		if (!task)
			return false;
		if (BPF_CORE_READ(task, tgid) == owner->pid &&
		    BPF_CORE_READ(task, group_leader, start_boottime) == owner->start_time)
			return true;
	}
	return false;
}

/* On every send and receive of every socket: everything but a stranger must leave at once. */
static __always_inline void on_used(struct sock *sk)
{
	struct socket_entry *entry;
	u32 pid;

	if (sk->sk_protocol != PROTOCOL_TCP)
		return;
	entry = place_find(address_of(sk)).entry;
	if (!entry)
		return;
	pid = bpf_get_current_pid_tgid() >> 32;
	if (entry->who.pid == pid || entry->user_pid == pid || !entry->who.pid)
		return;
	if (entry->cookie != sk->__sk_common.skc_cookie.counter)
		return;
	if (bpf_get_current_task_btf()->flags & TASK_FLAG_KERNEL_THREAD)
		return;
	if (!scope_has_current())
		return;
	entry->user_pid = pid;
	if (!descends_from(&entry->who))
		emit_received(sk, &entry->who, DESCRIPTOR_MECHANISM_UNSPECIFIED);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(socket_send_tp_btf, struct sock *sk)
{
	on_used(sk);
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(socket_receive_tp_btf, struct sock *sk)
{
	on_used(sk);
	return 0;
}
