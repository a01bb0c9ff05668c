// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * vsock: connections between a virtual machine and its host, or within one of them, which no
 * firewall and no network namespace holds up.
 *
 * The functions of the address family and not those of a transport, of which there are four.
 * connect() may return before the other end has answered: then the kernel says so later, in a
 * thread of its own. Bytes are counted as send and receive return, since the transports count in
 * 32 bits or not at all.
 *
 * Not seen: datagrams (only one transport has them), and connections that stood when the agent
 * started. Connections that nobody accepts are told by the calling end only.
 */
#include "calls.bpf.h"
#include "identity.bpf.h"
#include "scope.bpf.h"
#include "told.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define EALREADY 114
#define EINPROGRESS 115
#define EISCONN 106
#define ECONNRESET 104
#define MESSAGE_PEEK 2

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sockaddr_vm {
	u32 svm_port;
	u32 svm_cid;
};

struct vsock_sock {
	struct sock sk;
	struct sockaddr_vm local_addr;
	struct sockaddr_vm remote_addr;
};

#pragma clang attribute pop

/* As the user interface has it (linux/vm_sockets.h): what connect() is given. */
struct vsock_address {
	u16 family;
	u16 reserved;
	u32 port;
	u32 cid;
};

struct vsock_entry {
	struct record_header who;
	u64 connection_id;
	/* 0: not yet. */
	u64 established;
	u64 sent;
	u64 received;
	u8 direction;
	u8 told;
	u8 _pad[6];
};

/* By address of the socket, from connect() or accept() to its release. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, struct vsock_entry);
} vsock_sockets SEC(".maps");

static __always_inline void emit_vsock(struct sock *sk, const struct vsock_entry *entry,
				       u8 report, u16 error, u64 now)
{
	struct vsock_sock *vsock = (void *)sk;
	struct vsock_connection *record;

	record = record_reserve(KIND_VSOCK_CONNECTION, sizeof(*record), now,
				entry->who.cgroup_id);
	if (!record)
		return;
	identity_copy(&record->header, &entry->who);
	record->connection_id = entry->connection_id;
	record->bytes_sent = entry->sent;
	record->bytes_received = entry->received;
	if (entry->established)
		record->duration_ns = now - entry->established;
	record->local_cid = BPF_CORE_READ(vsock, local_addr.svm_cid);
	record->local_port = BPF_CORE_READ(vsock, local_addr.svm_port);
	record->remote_cid = BPF_CORE_READ(vsock, remote_addr.svm_cid);
	record->remote_port = BPF_CORE_READ(vsock, remote_addr.svm_port);
	record->error = error;
	record->direction = entry->direction;
	record->report = report;
	record_submit(record);
}

static __always_inline void vsock_store(u64 key, struct vsock_entry *entry, u8 direction,
					u64 cookie)
{
	entry->connection_id = cookie ?: opaque_id(bpf_ktime_get_boot_ns());
	entry->direction = direction;
	identity_fill(&entry->who, bpf_get_current_task_btf());
	if (bpf_map_update_elem(&vsock_sockets, &key, entry, BPF_ANY) != 0)
		fault_count(FAULT_VSOCK_SOCKETS_FULL);
}

/* connect() was called. Again, while the first call is under way or its connection stands: no. */
static __always_inline void on_vsock_connect(struct sock *sk, u64 cookie)
{
	struct vsock_entry entry = {};
	u64 key = (u64)sk;

	if (!scope_has_current() || bpf_map_lookup_elem(&vsock_sockets, &key))
		return;
	vsock_store(key, &entry, DIRECTION_OUTGOING, cookie);
}

/* The handshake ended well; in any context. Of the accepting end nobody knows the process yet. */
static __always_inline void on_vsock_established(struct sock *sk)
{
	u64 key = (u64)sk;
	struct vsock_entry *entry = bpf_map_lookup_elem(&vsock_sockets, &key);

	if (!entry || entry->told)
		return;
	entry->told = 1;
	entry->established = bpf_ktime_get_boot_ns();
	emit_vsock(sk, entry, FLOW_REPORT_FIRST, 0, entry->established);
}

/* connect() returned. Success was told when the handshake ended. */
static __always_inline void on_vsock_connected(struct sock *sk, int result)
{
	u64 key = (u64)sk;
	struct vsock_entry *entry;

	if (result >= 0 || result == -EALREADY || result == -EINPROGRESS || result == -EISCONN)
		return;
	entry = bpf_map_lookup_elem(&vsock_sockets, &key);
	if (!entry || entry->told)
		return;
	emit_vsock(sk, entry, FLOW_REPORT_FIRST, -result, bpf_ktime_get_boot_ns());
	bpf_map_delete_elem(&vsock_sockets, &key);
}

static __always_inline void on_vsock_accepted(struct sock *sk, u64 cookie, int result)
{
	struct vsock_entry entry = {};

	if (result != 0 || !sk || !scope_has_current())
		return;
	entry.told = 1;
	entry.established = bpf_ktime_get_boot_ns();
	vsock_store((u64)sk, &entry, DIRECTION_ACCEPTED, cookie);
	emit_vsock(sk, &entry, FLOW_REPORT_FIRST, 0, entry.established);
}

static __always_inline void on_vsock_release(struct sock *sk)
{
	u64 key = (u64)sk;
	struct vsock_entry *entry = bpf_map_lookup_elem(&vsock_sockets, &key);
	u16 error = 0;

	if (!entry)
		return;
	/* Refused after connect() had returned; or nobody waited for the answer. */
	if (!entry->told)
		error = BPF_CORE_READ(sk, sk_err) ?: ECONNRESET;
	emit_vsock(sk, entry, entry->told ? FLOW_REPORT_LAST : FLOW_REPORT_FIRST, error,
		   bpf_ktime_get_boot_ns());
	bpf_map_delete_elem(&vsock_sockets, &key);
}

static __always_inline void on_vsock_bytes(struct sock *sk, int bytes, bool sent)
{
	u64 key = (u64)sk;
	struct vsock_entry *entry;

	if (bytes <= 0)
		return;
	entry = bpf_map_lookup_elem(&vsock_sockets, &key);
	if (entry)
		__sync_fetch_and_add(sent ? &entry->sent : &entry->received, bytes);
}

SEC("fentry/vsock_connect")
int BPF_PROG(vsock_connect_fentry, struct socket *socket)
{
	struct sock *sk = socket->sk;

	on_vsock_connect(sk, bpf_get_socket_cookie(sk));
	return 0;
}

SEC("fexit/vsock_connect")
int BPF_PROG(vsock_connect_fexit, struct socket *socket, void *address, int bytes, int flags,
	     int result)
{
	on_vsock_connected(socket->sk, result);
	return 0;
}

/* All transports. A socket is the first thing in a vsock_sock. */
SEC("fentry/vsock_insert_connected")
int BPF_PROG(vsock_established_fentry, struct sock *sk)
{
	on_vsock_established(sk);
	return 0;
}

/* The result by helper: the arguments changed in Linux 6.10. */
SEC("fexit/vsock_accept")
int BPF_PROG(vsock_accept_fexit, struct socket *socket, struct socket *accepted)
{
	struct sock *sk = accepted->sk;
	u64 result = 1;

	bpf_get_func_ret(ctx, &result);
	if (sk)
		on_vsock_accepted(sk, bpf_get_socket_cookie(sk), result);
	return 0;
}

SEC("fexit/vsock_connectible_sendmsg")
int BPF_PROG(vsock_send_fexit, struct socket *socket, void *message, u64 bytes, int result)
{
	on_vsock_bytes(socket->sk, result, true);
	return 0;
}

SEC("fexit/vsock_connectible_recvmsg")
int BPF_PROG(vsock_receive_fexit, struct socket *socket, void *message, u64 bytes, int flags,
	     int result)
{
	if (!(flags & MESSAGE_PEEK))
		on_vsock_bytes(socket->sk, result, false);
	return 0;
}

SEC("fentry/vsock_release")
int BPF_PROG(vsock_release_fentry, struct socket *socket)
{
	on_vsock_release(socket->sk);
	return 0;
}

/* From here on the second best way: pairs of kprobes. */

static __always_inline u64 socket_of(struct socket *socket)
{
	return (u64)BPF_CORE_READ(socket, sk);
}

SEC("kprobe/vsock_connect")
int BPF_KPROBE(vsock_connect_kprobe, struct socket *socket)
{
	struct call call = { .arguments = { socket_of(socket) } };
	struct sock *sk = (void *)call.arguments[0];

	on_vsock_connect(sk, BPF_CORE_READ(sk, __sk_common.skc_cookie.counter));
	call_begin(CALL_VSOCK_CONNECT, &call);
	return 0;
}

SEC("kretprobe/vsock_connect")
int BPF_KRETPROBE(vsock_connect_kretprobe, int result)
{
	struct call call;

	if (call_end(CALL_VSOCK_CONNECT, &call))
		on_vsock_connected((void *)call.arguments[0], result);
	return 0;
}

SEC("kprobe/vsock_insert_connected")
int BPF_KPROBE(vsock_established_kprobe, struct sock *sk)
{
	on_vsock_established(sk);
	return 0;
}

SEC("kprobe/vsock_accept")
int BPF_KPROBE(vsock_accept_kprobe, struct socket *socket, struct socket *accepted)
{
	struct call call = { .arguments = { (u64)accepted } };

	call_begin(CALL_VSOCK_ACCEPT, &call);
	return 0;
}

SEC("kretprobe/vsock_accept")
int BPF_KRETPROBE(vsock_accept_kretprobe, int result)
{
	struct call call;
	struct sock *sk;

	if (!call_end(CALL_VSOCK_ACCEPT, &call))
		return 0;
	sk = (void *)socket_of((void *)call.arguments[0]);
	on_vsock_accepted(sk, BPF_CORE_READ(sk, __sk_common.skc_cookie.counter), result);
	return 0;
}

SEC("kprobe/vsock_connectible_sendmsg")
int BPF_KPROBE(vsock_send_kprobe, struct socket *socket)
{
	struct call call = { .arguments = { socket_of(socket) } };

	call_begin(CALL_VSOCK_SEND, &call);
	return 0;
}

SEC("kretprobe/vsock_connectible_sendmsg")
int BPF_KRETPROBE(vsock_send_kretprobe, int result)
{
	struct call call;

	if (call_end(CALL_VSOCK_SEND, &call))
		on_vsock_bytes((void *)call.arguments[0], result, true);
	return 0;
}

SEC("kprobe/vsock_connectible_recvmsg")
int BPF_KPROBE(vsock_receive_kprobe, struct socket *socket, void *message, u64 bytes, int flags)
{
	struct call call = { .arguments = { socket_of(socket), flags } };

	call_begin(CALL_VSOCK_RECEIVE, &call);
	return 0;
}

SEC("kretprobe/vsock_connectible_recvmsg")
int BPF_KRETPROBE(vsock_receive_kretprobe, int result)
{
	struct call call;

	if (call_end(CALL_VSOCK_RECEIVE, &call) && !(call.arguments[1] & MESSAGE_PEEK))
		on_vsock_bytes((void *)call.arguments[0], result, false);
	return 0;
}

SEC("kprobe/vsock_release")
int BPF_KPROBE(vsock_release_kprobe, struct socket *socket)
{
	on_vsock_release((void *)socket_of(socket));
	return 0;
}
