// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The hooks of the GPU container runtime, which run as root on the node while they look into an
 * image that nobody vouches for: what the dynamic linker was told in their environment, and
 * libraries of the image that they map. That is how CVE-2025-23266 gets out of a container.
 *
 * Environment: when the hook has become the program, in its own memory, where the kernel wrote it a
 * moment ago. Libraries: security_mmap_file, asked only once a hook was seen, and only of what may
 * be executed.
 *
 * Not seen: a hook under a name that is not in `hook_names`; a library that is read and not mapped.
 *
 * Sources: NVIDIA container toolkit, cmd/; its advisory of CVE-2025-23266.
 */
#include "container.bpf.h"
#include "identity.bpf.h"
#include "path.bpf.h"
#include "scope.bpf.h"
#include "told.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define PROTECTION_EXECUTE 4
#define OVERLAYFS_MAGIC 0x794c7630
#define TMPFS_MAGIC 0x01021994
#define VALUE_BYTES 256
/* Variables that are looked at, or pieces of longer ones; each of VALUE_BYTES at most. */
#define VARIABLES_MAX 4096
/* The same before Linux 5.17, which can loop only as often as its verifier walks along. */
#define VARIABLES_MAX_WALKED 256
/* Ancestors that are asked for being a hook: what it starts, and what that starts. */
#define HOOK_LEVELS 3

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct dentry___place {
	struct super_block *d_sb;
};

struct mm_struct___environment {
	unsigned long env_start;
	unsigned long env_end;
};

#pragma clang attribute pop

#define HOOK_NAMES 12
#define HOOK_NAME_WORDS 4

/* Whole file names, zero after the end: a name is then a few numbers to compare. */
union hook_name {
	char text[8 * HOOK_NAME_WORDS];
	u64 words[HOOK_NAME_WORDS];
};

/*
 * By the NVIDIA container toolkit (cmd/) and libnvidia-container; .real is what the wrappers of the
 * GPU operator start. Not nvidia-container-runtime: it becomes runc, and its children containers.
 */
static const union hook_name hook_names[HOOK_NAMES] = {
	{ "nvidia-container-runtime-hook" },
	{ "nvidia-container-toolkit" },
	{ "nvidia-container-cli" },
	{ "nvidia-container-cli.real" },
	{ "nvidia-container-toolkit.real" },
	{ "nvidia-cdi-hook" },
	{ "nvidia-cdi-hook.real" },
	{ "nvidia-ctk" },
	{ "nvidia-ctk.real" },
	{ "nvidia-ctk-hook" },
	{ "nvidia-oci-hook" },
	{ "nvidia-hook" },
};

/* Hooks that run; LRU, since an end may be missed. */
struct hook_key {
	u64 start_time;
	u64 pid;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct hook_key);
	__type(value, u8);
} hooks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct told_key);
	__type(value, u64);
} hook_libraries_told SEC(".maps");

/* Found in one environment: three names, and one of them twice. A power of two. */
#define FOUND_MAX 4

struct found_variable {
	u64 at;
	u64 name_bytes;
};

struct environment_walk {
	u64 at;
	u64 end;
	struct found_variable found[FOUND_MAX];
	u32 found_count;
	/* What is at `at` is the rest of a variable that was longer than a piece. */
	bool within;
	/* Unreadable, or more was found than fits. */
	bool failed;
};

struct hook_scratch {
	/* One variable, and always a NUL behind it. */
	char variable[VALUE_BYTES];
	/* Here and not on the stack, where the verifier would follow each way that it can come to. */
	struct environment_walk walk;
	char path[PATH_SCRATCH_BYTES];
};

/* A program does not interrupt itself on its CPU, so one is enough. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct hook_scratch);
} hook_scratch SEC(".maps");

/* Set with the first hook: on a node that has none, a mapping costs one look at this. */
u8 hooks_seen = 0;

static __always_inline bool is_hook_name(const union hook_name *name)
{
#pragma unroll
	for (int i = 0; i < HOOK_NAMES; i++) {
		const u64 *wanted = hook_names[i].words;

		if (name->words[0] == wanted[0] && name->words[1] == wanted[1] &&
		    name->words[2] == wanted[2] && name->words[3] == wanted[3])
			return true;
	}
	return false;
}

/* By the name of its file, or by the one that it was started under when the kernel keeps it. */
static __always_inline bool is_hook(struct task_struct *task, struct file *file)
{
	union hook_name name = {};

	bpf_probe_read_kernel_str(name.text, sizeof(name.text),
				  BPF_CORE_READ(file, f_path.dentry, d_name.name));
	if (is_hook_name(&name))
		return true;
	__builtin_memset(&name, 0, sizeof(name));
	bpf_probe_read_kernel(name.text, sizeof(task->comm), task->group_leader->comm);
	return is_hook_name(&name);
}

/* Itself, or the descendant of one. */
static __always_inline bool of_hook(struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;

	for (int i = 0; i <= HOOK_LEVELS; i++) {
		struct hook_key key = {};

		key.start_time = BPF_CORE_READ(leader, start_boottime);
		key.pid = BPF_CORE_READ(leader, tgid);
		if (bpf_map_lookup_elem(&hooks, &key))
			return true;
		leader = BPF_CORE_READ(leader, real_parent, group_leader);
	}
	return false;
}

static __always_inline struct runtime_hook *hook_record_reserve(struct task_struct *task, u64 now)
{
	struct runtime_hook *record;

	record = record_reserve(KIND_RUNTIME_HOOK, sizeof(*record), now, cgroup_id_of(task));
	if (!record)
		return NULL;
	identity_fill(&record->header, task);
	record->in_container = task_in_container(task);
	return record;
}

/* The variables that the dynamic linker obeys, as the numbers that their names are in memory. */
#define NAME_LD_PRELOAD_LOW 0x4f4c4552505f444cull
#define NAME_LD_PRELOAD_HIGH 0x3d4441ull
#define NAME_LD_PRELOAD_BYTES 10
#define NAME_LD_AUDIT_LOW 0x54494455415f444cull
#define NAME_LD_AUDIT_HIGH 0x3dull
#define NAME_LD_AUDIT_BYTES 8
#define NAME_LD_LIBRARY_LOW 0x415242494c5f444cull
#define NAME_LD_LIBRARY_HIGH 0x3d485441505f5952ull
#define NAME_LD_LIBRARY_BYTES 15

/* Bytes of the name at the beginning of a variable; 0 when it is none of them. */
static __always_inline u32 linker_variable(const char *variable)
{
	const u64 *words = (const u64 *)variable;

	if (words[0] == NAME_LD_PRELOAD_LOW && (words[1] & 0xffffff) == NAME_LD_PRELOAD_HIGH)
		return NAME_LD_PRELOAD_BYTES;
	if (words[0] == NAME_LD_AUDIT_LOW && (words[1] & 0xff) == NAME_LD_AUDIT_HIGH)
		return NAME_LD_AUDIT_BYTES;
	if (words[0] == NAME_LD_LIBRARY_LOW && words[1] == NAME_LD_LIBRARY_HIGH)
		return NAME_LD_LIBRARY_BYTES;
	return 0;
}

static long variable_look(u32 index, struct hook_scratch **scratch)
{
	struct environment_walk *walk = &(*scratch)->walk;
	char *variable = (*scratch)->variable;
	struct found_variable *found;
	u32 name_bytes;
	long bytes;

	if (walk->at >= walk->end)
		return 1;
	bytes = bpf_probe_read_user_str(variable, VALUE_BYTES, (void *)walk->at);
	if (bytes <= 0) {
		walk->failed = true;
		return 1;
	}
	/* What is behind the end of a short one is of an earlier one; no name reaches across a NUL. */
	name_bytes = walk->within ? 0 : linker_variable(variable);
	if (name_bytes && walk->found_count >= FOUND_MAX) {
		walk->failed = true;
		return 1;
	}
	if (name_bytes) {
		found = &walk->found[walk->found_count & (FOUND_MAX - 1)];
		found->at = walk->at;
		found->name_bytes = name_bytes;
		walk->found_count++;
	}
	/* Full: the NUL at its end is the helper's, and the next piece goes on in its place. */
	walk->within = bytes == VALUE_BYTES;
	walk->at += walk->within ? VALUE_BYTES - 1 : bytes;
	return 0;
}

static __always_inline void variable_tell(struct task_struct *task,
					  const struct found_variable *found, u64 end,
					  u64 now)
{
	struct runtime_hook *record = hook_record_reserve(task, now);
	u64 value = found->at + found->name_bytes + 1;
	long bytes;

	if (!record)
		return;
	bpf_probe_read_user(record->variable, found->name_bytes & 15, (void *)found->at);
	bytes = bpf_probe_read_user_str(record->value, sizeof(record->value), (void *)value);
	/* Full, and its last byte is not the end of the variable. */
	record->value_cut = bytes == sizeof(record->value) &&
			    value + sizeof(record->value) < end;
	record_submit(record);
}

/* `loops`: the kernel has bpf_loop. A constant, so that it is not asked for where it is not. */
static __always_inline void environment_look(struct task_struct *task, bool loops)
{
	struct mm_struct___environment *mm = (void *)task->mm;
	u64 now = bpf_ktime_get_boot_ns();
	struct environment_walk *walk;
	struct hook_scratch *scratch;
	struct runtime_hook *record;
	u32 zero = 0;

	scratch = bpf_map_lookup_elem(&hook_scratch, &zero);
	if (!scratch)
		return;
	walk = &scratch->walk;
	record_zero(walk, sizeof(*walk));
	walk->at = BPF_CORE_READ(mm, env_start);
	walk->end = BPF_CORE_READ(mm, env_end);
	if (loops) {
		bpf_loop(VARIABLES_MAX, variable_look, &scratch, 0);
	} else {
		for (u32 i = 0; i < VARIABLES_MAX_WALKED; i++) {
			if (variable_look(i, &scratch))
				break;
		}
	}
#pragma unroll
	for (u32 i = 0; i < FOUND_MAX; i++) {
		if (i < walk->found_count)
			variable_tell(task, &walk->found[i], walk->end, now);
	}
	if (walk->at >= walk->end && !walk->failed)
		return;
	record = hook_record_reserve(task, now);
	if (!record)
		return;
	record->environment_cut = 1;
	record_submit(record);
}

static __always_inline void on_exec(struct task_struct *task, struct file *file, bool loops)
{
	struct task_struct *leader = task->group_leader;
	struct hook_key key = {};
	u8 one = 1;

	if (!is_hook(task, file)) {
		/* The same process runs another program now, or a descendant: that still tells. */
		if (!hooks_seen || !of_hook(task))
			return;
	}
	if (!scope_has_current())
		return;
	key.start_time = leader->start_boottime;
	key.pid = task->tgid;
	bpf_map_update_elem(&hooks, &key, &one, BPF_ANY);
	hooks_seen = 1;
	environment_look(task, loops);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(runtime_hook_tp_btf, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	on_exec(task, bprm->file, true);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(runtime_hook_walk_tp_btf, struct task_struct *task, int old_pid,
	     struct linux_binprm *bprm)
{
	on_exec(task, bprm->file, false);
	return 0;
}

static __always_inline void on_map(struct file *file)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_struct *first;
	struct hook_scratch *scratch;
	struct runtime_hook *record;
	struct told_key key = {};
	struct vfsmount *vfsmount;
	struct mount *mount;
	struct super_block *fs;
	struct inode *inode;
	u32 magic, one = 1;
	u64 now;

	if (!of_hook(task) || !scope_has_current())
		return;
	inode = BPF_CORE_READ(file, f_inode);
	fs = BPF_CORE_READ(inode, i_sb);
	magic = BPF_CORE_READ(fs, s_magic);
	vfsmount = BPF_CORE_READ(file, f_path.mnt);
	mount = (void *)vfsmount - bpf_core_field_offset(struct mount, mnt);
	first = first_process(task);
	/* A file of the node itself: on its root, or in a place that its first process sees. */
	if (fs == BPF_CORE_READ((struct dentry___place *)root_of(first), d_sb))
		return;
	if (magic != OVERLAYFS_MAGIC && magic != TMPFS_MAGIC &&
	    BPF_CORE_READ(mount, mnt_ns) == BPF_CORE_READ(first, nsproxy, mnt_ns))
		return;
	key.start_time = task->group_leader->start_boottime;
	key.pid = task->tgid;
	key.object = BPF_CORE_READ(inode, i_ino);
	key.device = BPF_CORE_READ(fs, s_dev);
	now = bpf_ktime_get_boot_ns();
	scratch = bpf_map_lookup_elem(&hook_scratch, &one);
	if (!scratch || !told_first(&hook_libraries_told, &key, now, 0))
		return;
	record = hook_record_reserve(task, now);
	if (!record)
		return;
	record->inode = key.object;
	record->device = key.device;
	record->fs_magic = magic;
	record->value_cut = path_read(file, scratch->path, record->value);
	record_submit(record);
}

SEC("fentry/security_mmap_file")
int BPF_PROG(hook_library_fentry, struct file *file, unsigned long protection)
{
	if (file && hooks_seen && (protection & PROTECTION_EXECUTE))
		on_map(file);
	return 0;
}

SEC("kprobe/security_mmap_file")
int BPF_KPROBE(hook_library_kprobe, struct file *file, unsigned long protection)
{
	if (file && hooks_seen && (protection & PROTECTION_EXECUTE))
		on_map(file);
	return 0;
}
