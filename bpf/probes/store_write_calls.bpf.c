// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Changes of stores, where the kernel shows nothing better than the end of system calls. A file
 * that has a descriptor is known by it. Of the others there is the path that the program gave: it
 * counts when it is relative to a folder of a store, or begins like the path of a store in the same
 * mount namespace. Runs at every system call of the node: attached only while there is a store.
 *
 * Not seen: what 32-bit programs change, and io_uring; paths through links, with "..", or in
 * another root. Another thread can change a path before it is read here.
 */
#include "descriptor.bpf.h"
#include "store/name.bpf.h"
#include "store/opened.bpf.h"
#include "store/write_call.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct fs_struct___current {
	struct path pwd;
};

struct task_struct___current {
	struct fs_struct___current *fs;
};

struct mnt_namespace {
	struct ns_common ns;
};
#pragma clang attribute pop

#define STORE_PATH_BYTES 248

/* The beginning of a path in a mount namespace: "/data/weights/", or all of it, with its 0. */
struct store_path_key {
	u32 prefix_bits;
	u32 mount_namespace;
	char path[STORE_PATH_BYTES];
};

/* To the number of the store. Filled by the agent. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 8192);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct store_path_key);
	__type(value, u32);
} store_paths SEC(".maps");

struct call_path {
	/* The second half is room for a name that is too long. */
	char text[2 * PATH_BYTES];
	struct store_path_key key;
	/* Of the folder that the path is relative to, when it belongs to the store. */
	u32 device;
	u32 fs_magic;
	u32 store;
	/* It is not known what is meant. */
	u32 odd;
};

struct call_paths {
	struct call_path path;
	struct call_path old_path;
};

/* The kernel calls one program of a tracepoint at a time on a CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct call_paths);
} store_call_paths SEC(".maps");

/* Is one of its levels ".."? */
__weak __noinline int store_path_goes_up(struct path_text *path)
{
	u32 dots = 0;

	if (!path)
		return 1;
	for (int i = 0; i < PATH_BYTES; i++) {
		char letter = path->text[i];

		if ((letter == 0 || letter == '/') && dots == 2)
			return 1;
		if (letter == 0)
			return 0;
		if (letter == '/')
			dots = 0;
		else
			dots = letter == '.' && dots < 2 ? dots + 1 : 3;
	}
	return 0;
}

/* The folder that a path of a call is relative to; false: there is none. */
static __always_inline bool base_of(struct placed *base, int descriptor)
{
	struct task_struct___current *task = (void *)bpf_get_current_task_btf();
	struct fs_struct___current *fs = BPF_CORE_READ(task, fs);
	struct file *file;

	if (descriptor == DESCRIPTOR_CURRENT_FOLDER) {
		place_of(base, (void *)fs + bpf_core_field_offset(struct fs_struct___current, pwd));
		return true;
	}
	file = file_of_descriptor(descriptor);
	if (file)
		place_of(base, (void *)path_address(file));
	return file != NULL;
}

/* Writes the folder before a relative path; the store when the folder is in one. */
static __always_inline void path_of_folder(struct call_path *path, const struct placed *folder,
					   u64 user_path)
{
	struct dentry___store *known = (void *)folder->dentry;
	long bytes;

	__builtin_memset(path->text, 0, PATH_BYTES);
	store_path_by(folder->dentry, folder->mount, STORE_HOOK_CALL, (void *)path->text);
	bytes = bpf_probe_read_kernel_str(path->key.path, STORE_PATH_BYTES, path->text);
	if (bytes < 1 || bytes >= STORE_PATH_BYTES) {
		path->odd = 1;
		return;
	}
	/* The 0 at the end becomes a slash. */
	path->text[(bytes - 1) & (PATH_BYTES - 1)] = '/';
	bpf_probe_read_user_str(&path->text[bytes & (PATH_BYTES - 1)], PATH_BYTES,
				(void *)user_path);
	path->store = store_of_name((u64)known);
	path->device = BPF_CORE_READ(known, d_sb, s_dev);
	path->fs_magic = BPF_CORE_READ(known, d_sb, s_magic);
}

/* The store by what a path begins with. */
static __always_inline u32 store_of_path(struct call_path *path)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u32 *store;

	/* In a chroot the same path is another. */
	if (root_of(task) != root_of(first_process(task)))
		return 0;
	path->key.prefix_bits = 8 * (sizeof(u32) + STORE_PATH_BYTES);
	path->key.mount_namespace = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
	bpf_probe_read_kernel_str(path->key.path, STORE_PATH_BYTES, path->text);
	store = bpf_map_lookup_elem(&store_paths, &path->key);
	return store ? *store : 0;
}

/* A path that a program gave to a call. */
static __noinline int path_given(struct call_path *path, int descriptor, u64 user_path)
{
	struct placed folder;

	path->store = 0;
	path->device = 0;
	path->fs_magic = 0;
	path->odd = 0;
	if (bpf_probe_read_user_str(path->text, PATH_BYTES, (void *)user_path) < 2 ||
	    store_path_goes_up((void *)path->text)) {
		path->odd = 1;
		return 0;
	}
	if (path->text[0] != '/' && base_of(&folder, descriptor))
		path_of_folder(path, &folder, user_path);
	if (!path->store && !path->odd)
		path->store = store_of_path(path);
	return 0;
}

static __always_inline void note_path(struct call_paths *paths, u32 operation, u32 store,
				      const struct call_path *of, bool has_old)
{
	struct store_alteration change = { .hook = STORE_HOOK_CALL, .operation = operation };

	if (!store_is_watched(store))
		return;
	change.store = store;
	change.path = paths->path.text;
	if (has_old)
		change.old_path = paths->old_path.text;
	change.device = of->device;
	change.fs_magic = of->fs_magic;
	store_write_note(&change);
}

/* NULL: what the process does is not ours to report. */
static __always_inline struct call_paths *call_paths(void)
{
	u32 zero = 0;

	if (!scope_has_current())
		return NULL;
	return bpf_map_lookup_elem(&store_call_paths, &zero);
}

/* What was done to one path. A function of its own for the verifier, as those that follow. */
__weak __noinline int store_call_one_path(u32 operation, int descriptor, u64 user_path)
{
	struct call_paths *paths = call_paths();

	if (!paths)
		return 0;
	path_given(&paths->path, descriptor, user_path);
	note_path(paths, operation, paths->path.store, &paths->path, false);
	return 0;
}

/* `target` is what the link says, whatever that is. */
__weak __noinline int store_call_symlink(u64 target, int descriptor, u64 user_path)
{
	struct call_paths *paths = call_paths();

	if (!paths)
		return 0;
	path_given(&paths->path, descriptor, user_path);
	bpf_probe_read_user_str(paths->old_path.text, PATH_BYTES, (void *)target);
	note_path(paths, STORE_OPERATION_LINK, paths->path.store, &paths->path, true);
	return 0;
}

/* Renamed or linked, from one path to another. */
__weak __noinline int store_call_two_paths(u32 operation, int old_descriptor, u64 old_path,
					   int descriptor, u64 path)
{
	struct call_paths *paths = call_paths();
	u32 store, other;

	if (!paths)
		return 0;
	path_given(&paths->old_path, old_descriptor, old_path);
	path_given(&paths->path, descriptor, path);
	store = paths->old_path.store;
	other = paths->path.store;
	note_path(paths, operation, store, &paths->old_path, true);
	if (other != store)
		note_path(paths, operation, other, &paths->path, true);
	return 0;
}

/* Something is done to a file by its descriptor. */
__weak __noinline int store_call_file(u32 operation, int descriptor)
{
	struct store_alteration change = { .hook = STORE_HOOK_CALL, .operation = operation };
	struct file *file = file_of_descriptor(descriptor);

	if (!file)
		return 0;
	change.store = store_of_file(file);
	change.file = file;
	store_alteration_note(&change, (void *)BPF_CORE_READ(file, f_path.dentry));
	return 0;
}

static __always_inline int on_opened(int descriptor, u64 flags)
{
	struct file *file = file_of_descriptor(descriptor);
	u32 mode;

	if (!file)
		return 0;
	mode = BPF_CORE_READ(file, f_mode);
	if (!(mode & FILE_MODE_WRITE))
		return 0;
	store_opened((u64)file, (u32)descriptor, bpf_get_current_pid_tgid() >> 32);
	if ((flags & OPEN_FLAG_TRUNCATE) && !(mode & FILE_MODE_CREATED))
		store_call_file(STORE_OPERATION_TRUNCATE, descriptor);
	return 0;
}

#define HERE DESCRIPTOR_CURRENT_FOLDER

/* By a descriptor, or the result is one. False: it is another call. */
static __always_inline bool on_file_call(struct pt_regs *registers, u64 number, long result)
{
	u64 first = CALL_ARGUMENT_1(registers), second = CALL_ARGUMENT_2(registers);
	u64 third = CALL_ARGUMENT_3(registers);

	switch (number) {
	case CALL_CLOSE:
		store_closed((u32)first, bpf_get_current_pid_tgid() >> 32);
		return true;
	case CALL_OPEN:
		on_opened(result, second);
		return true;
	case CALL_OPENAT:
	case CALL_OPEN_BY_HANDLE:
		on_opened(result, third);
		return true;
	case CALL_OPENAT2:
		on_opened(result, flags_of_openat2(third));
		return true;
	case CALL_CREAT:
		on_opened(result, OPEN_FLAG_TRUNCATE);
		return true;
	case CALL_FTRUNCATE:
		store_call_file(STORE_OPERATION_TRUNCATE, first);
		return true;
	case CALL_FCHMOD:
	case CALL_FCHOWN:
	case CALL_FSETXATTR:
	case CALL_FREMOVEXATTR:
		store_call_file(STORE_OPERATION_ATTRIBUTES, first);
		return true;
	}
	return false;
}

/* By one path. */
static __always_inline bool on_path_call(struct pt_regs *registers, u64 number)
{
	u64 first = CALL_ARGUMENT_1(registers), second = CALL_ARGUMENT_2(registers);

	switch (number) {
	case CALL_TRUNCATE:
		store_call_one_path(STORE_OPERATION_TRUNCATE, HERE, first);
		return true;
	case CALL_MKDIR:
		store_call_one_path(STORE_OPERATION_CREATE, HERE, first);
		return true;
	case CALL_MKDIRAT:
		store_call_one_path(STORE_OPERATION_CREATE, first, second);
		return true;
	case CALL_RMDIR:
	case CALL_UNLINK:
		store_call_one_path(STORE_OPERATION_DELETE, HERE, first);
		return true;
	case CALL_UNLINKAT:
		store_call_one_path(STORE_OPERATION_DELETE, first, second);
		return true;
	case CALL_CHMOD:
	case CALL_CHOWN:
	case CALL_LCHOWN:
	case CALL_SETXATTR:
	case CALL_LSETXATTR:
	case CALL_REMOVEXATTR:
	case CALL_LREMOVEXATTR:
		store_call_one_path(STORE_OPERATION_ATTRIBUTES, HERE, first);
		return true;
	case CALL_FCHMODAT:
	case CALL_FCHMODAT2:
	case CALL_FCHOWNAT:
		store_call_one_path(STORE_OPERATION_ATTRIBUTES, first, second);
		return true;
	}
	return false;
}

/* By two paths. */
static __always_inline void on_paths_call(struct pt_regs *registers, u64 number)
{
	u64 first = CALL_ARGUMENT_1(registers), second = CALL_ARGUMENT_2(registers);
	u64 third = CALL_ARGUMENT_3(registers);

	switch (number) {
	case CALL_RENAME:
		store_call_two_paths(STORE_OPERATION_RENAME, HERE, first, HERE, second);
		break;
	case CALL_RENAMEAT:
	case CALL_RENAMEAT2:
		store_call_two_paths(STORE_OPERATION_RENAME, first, second, third,
				     CALL_ARGUMENT_4(registers));
		break;
	case CALL_LINK:
		store_call_two_paths(STORE_OPERATION_LINK, HERE, first, HERE, second);
		break;
	case CALL_LINKAT:
		store_call_two_paths(STORE_OPERATION_LINK, first, second, third,
				     CALL_ARGUMENT_4(registers));
		break;
	case CALL_SYMLINK:
		store_call_symlink(first, HERE, second);
		break;
	case CALL_SYMLINKAT:
		store_call_symlink(first, second, third);
		break;
	}
}

SEC("tp_btf/sys_exit")
int BPF_PROG(store_write_sys_exit, struct pt_regs *registers, long result)
{
	u64 number = CALL_NUMBER(registers);

	if (result < 0 || CALL_IS_32_BIT(registers))
		return 0;
	if (!on_file_call(registers, number, result) && !on_path_call(registers, number))
		on_paths_call(registers, number);
	return 0;
}
