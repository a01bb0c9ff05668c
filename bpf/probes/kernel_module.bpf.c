// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Kernel modules: loaded, unloaded, refused; by whom.
 *
 * A load is told by the tracepoint right before the module's own code runs for the first time: when
 * that code then says no, it has run all the same, so that both events are made. The return of
 * load_module tells of what the kernel did not take: signature, format, symbols.
 *
 * Fields after: the kernel's struct module, which differs between 6.1, 6.12 and 6.18. NVIDIA's
 * driver says version and srcversion here as in /sys/module (NVIDIA open-gpu-kernel-modules).
 */
#include "module_record.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct module {
	char name[56];
	const char *version;
	const char *srcversion;
	unsigned long taints;
};

/* Only in kernels that can check signatures. */
struct module___signed {
	bool sig_ok;
};

#pragma clang attribute pop

#define MODULE_NAME_BYTES 56
#define EEXIST_ALREADY_LOADED 17

/* A module whose own code runs, in the thread that loads it. */
struct beginning {
	u64 module;
	char name[MODULE_NAME_BYTES];
};

/* LRU, as loaded_files; by pid_tgid. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 256);
	__type(key, u64);
	__type(value, struct beginning);
} modules_beginning SEC(".maps");

static __always_inline void module_fill(struct kernel_module *record, struct module *module)
{
	struct module___signed *is_signed = (void *)module;

	_Static_assert(sizeof(record->module) == MODULE_NAME_BYTES, "module holds a name");
	BPF_CORE_READ_STR_INTO(&record->module, module, name);
	bpf_probe_read_kernel_str(record->version, sizeof(record->version),
				  BPF_CORE_READ(module, version));
	bpf_probe_read_kernel_str(record->srcversion, sizeof(record->srcversion),
				  BPF_CORE_READ(module, srcversion));
	record->taints = BPF_CORE_READ(module, taints);
	if (!bpf_core_field_exists(is_signed->sig_ok))
		return;
	record->signature_trusted =
		BPF_CORE_READ(is_signed, sig_ok) ? TRISTATE_YES : TRISTATE_NO;
}

SEC("tp_btf/module_load")
int BPF_PROG(module_load_tp_btf, struct module *module)
{
	struct kernel_module *record;

	record = module_record_reserve(KERNEL_MODULE_ACTION_LOAD, true);
	if (!record)
		return 0;
	module_fill(record, module);
	record_submit(record);
	return 0;
}

/* Also called when the module's own code refuses to begin: that is no unloading. */
SEC("tp_btf/module_free")
int BPF_PROG(module_free_tp_btf, struct module *module)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct beginning *beginning = bpf_map_lookup_elem(&modules_beginning, &thread);
	struct kernel_module *record;

	if (beginning && beginning->module == (u64)module)
		return 0;
	record = module_record_reserve(KERNEL_MODULE_ACTION_UNLOAD, false);
	if (!record)
		return 0;
	module_fill(record, module);
	record_submit(record);
	return 0;
}

static __always_inline void on_beginning(struct module *module)
{
	struct beginning beginning = { .module = (u64)module };
	u64 thread = bpf_get_current_pid_tgid();

	BPF_CORE_READ_STR_INTO(&beginning.name, module, name);
	bpf_map_update_elem(&modules_beginning, &thread, &beginning, BPF_ANY);
}

static __always_inline void on_loaded(int result)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct beginning *beginning = bpf_map_lookup_elem(&modules_beginning, &thread);
	struct kernel_module *record;

	/* That it is there already says nothing against a module. */
	if (result < 0 && result != -EEXIST_ALREADY_LOADED) {
		record = module_record_reserve(KERNEL_MODULE_ACTION_REFUSED, true);
		if (record) {
			if (beginning)
				__builtin_memcpy(record->module, beginning->name,
						 MODULE_NAME_BYTES);
			record->error = -result;
			record_submit(record);
		}
	}
	bpf_map_delete_elem(&modules_beginning, &thread);
	loaded_file_forget(LOADED_MODULE);
}

SEC("fentry/do_init_module")
int BPF_PROG(module_begin_fentry, struct module *module)
{
	on_beginning(module);
	return 0;
}

SEC("fexit/load_module")
int BPF_PROG(module_loaded_fexit, void *info, const char *arguments, int flags, int result)
{
	on_loaded(result);
	return 0;
}

SEC("kprobe/do_init_module")
int BPF_KPROBE(module_begin_kprobe, struct module *module)
{
	on_beginning(module);
	return 0;
}

SEC("kretprobe/load_module")
int BPF_KRETPROBE(module_loaded_kretprobe, int result)
{
	on_loaded(result);
	return 0;
}
