// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Unix sockets connected across the border of a container: to the container runtime, to a host's
 * service, to a neighbour through a shared folder.
 *
 * The security hooks, since they are given both sockets, after the kernel has found the listener:
 * one for streams and packets in order, when a connection is made; one for datagrams, which is
 * asked for every one of them, connected or not. So the first question is the cheapest: is the
 * other socket of my cgroup?
 *
 * Where neither of them can be attached, the connections that stand are looked through from time to
 * time.
 *
 * Not seen: pairs of sockets, and sockets that were passed on. Of a datagram socket no process is
 * known, only the cgroup and, when it has a file, the mount namespace it was bound in: datagrams to
 * a name without a file are not told.
 */
#include "identity.bpf.h"
#include "scope.bpf.h"
#include "told.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Index of the thread group in struct pid.tasks (enum pid_type). */
#define PID_TYPE_TGID 1
/* sun_path follows the family. */
#define UNIX_PATH_OFFSET 2
#define AF_UNIX 1
#define SOCKET_TYPE_DATAGRAM 2
#define UNIX_WINDOW_NS 10000000000ull

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sockaddr_un {
	u16 sun_family;
	char sun_path[108];
};

struct unix_address {
	int len;
	struct sockaddr_un name[];
};

struct unix_sock {
	struct sock sk;
	struct sock *peer;
	struct unix_address *addr;
	struct path path;
};

#pragma clang attribute pop

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct told_key);
	__type(value, u64);
} unix_told SEC(".maps");

/* Who is at the other end, as far as the kernel knows. */
struct unix_peer {
	u64 cgroup_id;
	u64 start_time;
	struct mnt_namespace *mount_namespace;
	struct pid_namespace *pid_namespace;
	u32 pid;
};

/* The process that listens, which the kernel keeps for SO_PEERCRED; it may have ended long ago. */
static __always_inline void peer_from_pid(struct unix_peer *peer, struct pid *pid)
{
	struct hlist_node *node;
	struct task_struct *task;

	if (!pid)
		return;
	peer->pid = BPF_CORE_READ(pid, numbers[0].nr);
	node = BPF_CORE_READ(pid, tasks[PID_TYPE_TGID].first);
	if (!node)
		return;
	task = (void *)node - bpf_core_field_offset(struct task_struct, pid_links) -
	       PID_TYPE_TGID * sizeof(*node);
	if (BPF_CORE_READ(task, tgid) != peer->pid)
		return;
	peer->start_time = BPF_CORE_READ(task, group_leader, start_boottime);
	peer->cgroup_id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	peer->mount_namespace = BPF_CORE_READ(task, nsproxy, mnt_ns);
	peer->pid_namespace = BPF_CORE_READ(task, nsproxy, pid_ns_for_children);
}

/* What the socket says by itself: who made it, and where its file is mounted. */
static __always_inline void peer_from_socket(struct unix_peer *peer, struct unix_sock *other)
{
	struct vfsmount *vfsmount = BPF_CORE_READ(other, path.mnt);
	struct mount *mount = (void *)vfsmount - bpf_core_field_offset(struct mount, mnt);

	peer->cgroup_id = BPF_CORE_READ(other, sk.sk_cgrp_data.cgroup, kn, id);
	if (vfsmount)
		peer->mount_namespace = BPF_CORE_READ(mount, mnt_ns);
}

static __always_inline bool is_across(const struct unix_peer *peer, struct task_struct *task)
{
	struct nsproxy *own = task->nsproxy;

	if (!own || peer->cgroup_id == cgroup_id_of(task))
		return false;
	return (peer->mount_namespace && peer->mount_namespace != own->mnt_ns) ||
	       (peer->pid_namespace && peer->pid_namespace != own->pid_ns_for_children);
}

static __always_inline void name_fill(struct unix_connection *record, struct unix_sock *other)
{
	struct unix_address *address = BPF_CORE_READ(other, addr);
	char *name;
	u64 bytes;

	_Static_assert(sizeof(record->path) == 108, "path holds a sun_path");
	if (!address)
		return;
	bytes = BPF_CORE_READ(address, len) - UNIX_PATH_OFFSET;
	name = (void *)address + bpf_core_field_offset(struct unix_address, name) +
	       UNIX_PATH_OFFSET;
	if (bytes == 0 || bytes > sizeof(record->path))
		return;
	bpf_probe_read_kernel(record->path, 1, name);
	record->abstract = record->path[0] == 0;
	if (record->abstract) {
		name++;
		bytes--;
	}
	/* Said again where the verifier looks: the compiler takes such repetitions out. */
	barrier_var(bytes);
	bytes &= 127;
	if (bytes <= sizeof(record->path))
		bpf_probe_read_kernel(record->path, bytes, name);
}

/*
 * Tells that the process of `task` is connected to `other`, unless `key` was told in `window_ns`.
 * `listener` is the process that listens, as the kernel knows it.
 */
static __always_inline void tell(struct task_struct *task, struct sock *other,
				 struct pid *listener, u64 cookie, const struct told_key *key,
				 u64 window_ns)
{
	struct unix_connection *record;
	struct unix_peer peer = {};
	u64 now;

	peer_from_pid(&peer, listener);
	if (!peer.cgroup_id)
		peer_from_socket(&peer, (void *)other);
	if (!is_across(&peer, task))
		return;
	now = bpf_ktime_get_boot_ns();
	if (!told_first(&unix_told, key, now, window_ns))
		return;
	record = record_reserve(KIND_UNIX_CONNECTION, sizeof(*record), now, cgroup_id_of(task));
	if (!record)
		return;
	identity_fill(&record->header, task);
	name_fill(record, (void *)other);
	record->peer_pid = peer.pid;
	record->peer_start_time = peer.start_time;
	record->peer_cgroup_id = peer.cgroup_id;
	record->connection_id = cookie ?: opaque_id(now);
	record->netns = BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
	record->socket_type = BPF_CORE_READ(other, sk_type);
	record_submit(record);
}

/* The current process connects, or sends a datagram, to `other`. */
static __always_inline void on_connect(struct sock *other, u64 cookie)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct told_key key = {};

	if (!scope_has_current())
		return;
	key.start_time = task->group_leader->start_boottime;
	key.pid = task->tgid;
	key.object = (u64)other;
	tell(task, other, BPF_CORE_READ(other, sk_peer_pid), cookie, &key, UNIX_WINDOW_NS);
}

SEC("fentry/security_unix_stream_connect")
int BPF_PROG(unix_stream_fentry, struct sock *sk, struct sock *other)
{
	on_connect(other, bpf_get_socket_cookie(sk));
	return 0;
}

/* Most datagrams go to the own cgroup, or to the logger of the node. */
SEC("fentry/security_unix_may_send")
int BPF_PROG(unix_datagram_fentry, struct socket *socket, struct socket *other)
{
	struct sock *sk = other->sk;

	if (sk->sk_cgrp_data.cgroup->kn->id != cgroup_id_of(bpf_get_current_task_btf()))
		on_connect(sk, bpf_get_socket_cookie(socket->sk));
	return 0;
}

SEC("kprobe/security_unix_stream_connect")
int BPF_KPROBE(unix_stream_kprobe, struct sock *sk, struct sock *other)
{
	on_connect(other, BPF_CORE_READ(sk, __sk_common.skc_cookie.counter));
	return 0;
}

SEC("kprobe/security_unix_may_send")
int BPF_KPROBE(unix_datagram_kprobe, struct socket *socket, struct socket *other)
{
	struct sock *sk = BPF_CORE_READ(other, sk);

	if (BPF_CORE_READ(sk, sk_cgrp_data.cgroup, kn, id) !=
	    cgroup_id_of(bpf_get_current_task_btf()))
		on_connect(sk, BPF_CORE_READ(socket, sk, __sk_common.skc_cookie.counter));
	return 0;
}

/*
 * Every ten seconds, where nothing sees them being made: the connections that stand, found through
 * the files of the processes that called. The socket of who was called carries the listener's name,
 * that of the caller carries none; one that bound its own is not told.
 */
SEC("iter/task_file")
int unix_iter(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct told_key key = {};
	struct unix_sock *own;
	struct socket *socket;
	struct sock *sk, *other;

	if (!task || !file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk || sk->__sk_common.skc_family != AF_UNIX ||
	    !scope_has_cgroup(task->cgroups->dfl_cgrp))
		return 0;
	own = (void *)sk;
	other = BPF_CORE_READ(own, peer);
	if (!other || BPF_CORE_READ(own, addr) || sk->sk_type == SOCKET_TYPE_DATAGRAM)
		return 0;
	if (!BPF_CORE_READ((struct unix_sock *)other, addr))
		return 0;
	/* Once, by the first process that holds it: it may have been inherited since. */
	key.object = bpf_get_socket_cookie(sk);
	tell(task, other, BPF_CORE_READ(sk, sk_peer_pid), key.object, &key, 0);
	return 0;
}
