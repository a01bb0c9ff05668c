// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Who changes how the driver of a GPU is set, or which driver the GPU has.
 *
 * Where sysfs hands on what was written: narrow (cgroup files and all other files do not pass
 * there), and behind the copy into the kernel, so that the value is the one that counts. For procfs
 * the place before the copy: another thread of the writer could still change that value.
 *
 * What is told:
 * - parameters of the modules nvidia*, gdrdrv, firmware_class and vfio*, in /sys/module: with the
 *   path of firmware_class the kernel finds other firmware, with vfio a GPU needs no driver;
 * - attributes of PCI devices of NVIDIA (driver_override, reset, remove, config, …), but not
 *   uevent, to which udev writes;
 * - bind, unbind and new_id of the drivers nvidia*, nouveau, nova*, vfio*, pci-stub and uio_pci*;
 * - everything below /proc/driver/nvidia*, and /proc/bus/pci of devices of NVIDIA.
 *
 * Not seen: a device that is bound to another driver by that driver's own file; the unbinding
 * before it is. Settings that are made by calls of the driver are gpu_call.
 */
#include "container.bpf.h"
#include "identity.bpf.h"
#include "path.bpf.h"
#include "record.bpf.h"
#include "scope.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define SYSFS_MAGIC 0x62656572
#define VENDOR_NVIDIA 0x10de
/* Of a value; the last byte stays NUL. */
#define VALUE_BYTES 128

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kobject {
	const char *name;
};

struct bus_type {
	const char *name;
};

struct device {
	struct kobject kobj;
	const struct bus_type *bus;
};

struct pci_dev {
	unsigned short vendor;
	struct device dev;
};

/* The folder of an attribute; `priv` of a folder is its kobject. Renamed in Linux 6.15. */
struct kernfs_node___folder {
	struct kernfs_node___folder *parent;
	void *priv;
};

struct kernfs_node___since_6_15 {
	struct kernfs_node___folder *__parent;
};

struct kernfs_open_file {
	struct kernfs_node___folder *kn;
	struct file *file;
};

struct proc_dir_entry {
	void *data;
};

struct proc_inode {
	struct proc_dir_entry *pde;
	struct inode vfs_inode;
};

#pragma clang attribute pop

/* A program does not interrupt itself on its CPU, so one is enough. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, char[PATH_SCRATCH_BYTES]);
} setting_scratch SEC(".maps");

/* The beginning of a name, zero after its end. */
union short_name {
	char text[16];
	u64 words[2];
};

static __always_inline void name_read(union short_name *name, struct dentry *dentry)
{
	name->words[0] = 0;
	name->words[1] = 0;
	bpf_probe_read_kernel_str(name->text, sizeof(name->text),
				  BPF_CORE_READ(dentry, d_name.name));
}

/* Names as the numbers that they are in memory, and how much of them is asked for. */
#define LETTERS(a, b, c, d, e, f, g, h)                                                            \
	((u64)(a) | (u64)(b) << 8 | (u64)(c) << 16 | (u64)(d) << 24 | (u64)(e) << 32 |             \
	 (u64)(f) << 40 | (u64)(g) << 48 | (u64)(h) << 56)
#define FIRST(bytes) ((1ull << (8 * (bytes))) - 1)

#define NAME_NVIDIA LETTERS('n', 'v', 'i', 'd', 'i', 'a', 0, 0)
#define NAME_GDRDRV LETTERS('g', 'd', 'r', 'd', 'r', 'v', 0, 0)
#define NAME_FIRMWARE LETTERS('f', 'i', 'r', 'm', 'w', 'a', 'r', 'e')
#define NAME_CLASS LETTERS('_', 'c', 'l', 'a', 's', 's', 0, 0)
#define NAME_VFIO LETTERS('v', 'f', 'i', 'o', 0, 0, 0, 0)
#define NAME_PARAMETERS_LOW LETTERS('p', 'a', 'r', 'a', 'm', 'e', 't', 'e')
#define NAME_PARAMETERS_HIGH LETTERS('r', 's', 0, 0, 0, 0, 0, 0)
#define NAME_DRIVERS LETTERS('d', 'r', 'i', 'v', 'e', 'r', 's', 0)
#define NAME_DRIVER LETTERS('d', 'r', 'i', 'v', 'e', 'r', 0, 0)
#define NAME_PCI LETTERS('p', 'c', 'i', 0, 0, 0, 0, 0)
#define NAME_NOUVEAU LETTERS('n', 'o', 'u', 'v', 'e', 'a', 'u', 0)
#define NAME_NOVA LETTERS('n', 'o', 'v', 'a', 0, 0, 0, 0)
#define NAME_PCI_STUB LETTERS('p', 'c', 'i', '-', 's', 't', 'u', 'b')
#define NAME_UIO_PCI LETTERS('u', 'i', 'o', '_', 'p', 'c', 'i', '_')
#define NAME_UEVENT LETTERS('u', 'e', 'v', 'e', 'n', 't', 0, 0)

static __always_inline bool is_nvidia(const union short_name *name)
{
	return (name->words[0] & FIRST(6)) == NAME_NVIDIA;
}

static __always_inline bool is_module_of_interest(const union short_name *name)
{
	return is_nvidia(name) || (name->words[0] & FIRST(6)) == NAME_GDRDRV ||
	       (name->words[0] == NAME_FIRMWARE && name->words[1] == NAME_CLASS) ||
	       (name->words[0] & FIRST(4)) == NAME_VFIO;
}

static __always_inline bool is_driver_of_interest(const union short_name *name)
{
	return is_nvidia(name) || name->words[0] == NAME_NOUVEAU ||
	       (name->words[0] & FIRST(4)) == NAME_NOVA ||
	       (name->words[0] & FIRST(4)) == NAME_VFIO || name->words[0] == NAME_PCI_STUB ||
	       name->words[0] == NAME_UIO_PCI;
}

/*
 * Is the folder that of a PCI device of NVIDIA? Every folder of sysfs has a kobject, but not every
 * one is in a device: a bus that says "pci" where a device has its bus is none by chance. Folders
 * below have the kobject of the device and another name: power settings and the like.
 */
static __always_inline bool is_nvidia_device(struct kernfs_node___folder *node,
					     const union short_name *folder_name)
{
	struct kernfs_node___since_6_15 *newer = (void *)node;
	struct kernfs_node___folder *folder;
	union short_name name = {};
	struct device *device;
	struct pci_dev *pci;
	u64 bus = 0;

	if (bpf_core_field_exists(newer->__parent))
		folder = BPF_CORE_READ(newer, __parent);
	else
		folder = BPF_CORE_READ(node, parent);
	device = BPF_CORE_READ(folder, priv) - bpf_core_field_offset(struct device, kobj);
	bpf_probe_read_kernel_str(&bus, sizeof(bus), BPF_CORE_READ(device, bus, name));
	if (bus != NAME_PCI)
		return false;
	bpf_probe_read_kernel_str(name.text, sizeof(name.text), BPF_CORE_READ(device, kobj.name));
	if (name.words[0] != folder_name->words[0] || name.words[1] != folder_name->words[1])
		return false;
	pci = (void *)device - bpf_core_field_offset(struct pci_dev, dev);
	return BPF_CORE_READ(pci, vendor) == VENDOR_NVIDIA;
}

/* `node` is what sysfs calls the file. */
static __always_inline bool is_setting(struct dentry *dentry, struct kernfs_node___folder *node)
{
	struct dentry *folder = BPF_CORE_READ(dentry, d_parent);
	struct dentry *above = BPF_CORE_READ(folder, d_parent);
	union short_name name, parent;

	name_read(&name, folder);
	if (name.words[0] == NAME_PARAMETERS_LOW && name.words[1] == NAME_PARAMETERS_HIGH) {
		name_read(&parent, above);
		return is_module_of_interest(&parent);
	}
	name_read(&parent, above);
	if (parent.words[0] == NAME_DRIVERS)
		return is_driver_of_interest(&name);
	name_read(&parent, dentry);
	return parent.words[0] != NAME_UEVENT && is_nvidia_device(node, &name);
}

/* Below /proc/driver/nvidia*: at most gpus/ADDRESS/FILE. */
static __always_inline bool is_driver_file(struct dentry *dentry)
{
	union short_name name, parent;

	for (int i = 0; i < 5; i++) {
		struct dentry *above = BPF_CORE_READ(dentry, d_parent);

		name_read(&name, dentry);
		name_read(&parent, above);
		if (parent.words[0] == NAME_DRIVER && is_nvidia(&name))
			return true;
		if (above == dentry)
			return false;
		dentry = above;
	}
	return false;
}

/* /proc/bus/pci/BUS/DEVICE.FUNCTION: what setpci writes to without sysfs. */
static __always_inline bool is_nvidia_config(struct file *file, struct dentry *dentry)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct proc_inode *proc = (void *)inode - bpf_core_field_offset(struct proc_inode, vfs_inode);
	union short_name name;
	struct pci_dev *pci;

	name_read(&name, BPF_CORE_READ(dentry, d_parent, d_parent));
	if (name.words[0] != NAME_PCI)
		return false;
	pci = BPF_CORE_READ(proc, pde, data);
	return BPF_CORE_READ(pci, vendor) == VENDOR_NVIDIA;
}

static __always_inline struct driver_setting *setting_reserve(struct dentry *dentry, u64 bytes)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct driver_setting *record;
	char *scratch;
	u32 zero = 0;

	scratch = bpf_map_lookup_elem(&setting_scratch, &zero);
	if (!scratch || !scope_has_current())
		return NULL;
	record = record_reserve(KIND_DRIVER_SETTING, sizeof(*record), bpf_ktime_get_boot_ns(),
				cgroup_id_of(task));
	if (!record)
		return NULL;
	identity_fill(&record->header, task);
	record->in_container = task_in_container(task);
	record->path_cut = path_read_below(dentry, scratch, record->setting);
	record->value_bytes = bytes;
	return record;
}

/* Room for a value, its NUL apart. */
static __always_inline u32 value_room(u64 bytes)
{
	return bytes < VALUE_BYTES ? bytes : VALUE_BYTES - 1;
}

static __always_inline void on_sysfs(struct kernfs_open_file *open, const char *buffer, u64 bytes)
{
	struct file *file = BPF_CORE_READ(open, file);
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	struct driver_setting *record;

	if (BPF_CORE_READ(file, f_inode, i_sb, s_magic) != SYSFS_MAGIC)
		return;
	if (!is_setting(dentry, BPF_CORE_READ(open, kn)))
		return;
	record = setting_reserve(dentry, bytes);
	if (!record)
		return;
	_Static_assert(sizeof(record->value) == VALUE_BYTES, "value holds a value");
	bpf_probe_read_kernel(record->value, value_room(bytes), buffer);
	record_submit(record);
}

static __always_inline void on_procfs(struct file *file, const char *buffer, u64 bytes)
{
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	struct driver_setting *record;

	if (!is_driver_file(dentry) && !is_nvidia_config(file, dentry))
		return;
	record = setting_reserve(dentry, bytes);
	if (!record)
		return;
	bpf_probe_read_user(record->value, value_room(bytes), buffer);
	record_submit(record);
}

SEC("fentry/sysfs_kf_write")
int BPF_PROG(setting_sysfs_fentry, struct kernfs_open_file *open, char *buffer, u64 bytes)
{
	on_sysfs(open, buffer, bytes);
	return 0;
}

SEC("fentry/sysfs_kf_bin_write")
int BPF_PROG(setting_binary_fentry, struct kernfs_open_file *open, char *buffer, u64 bytes)
{
	on_sysfs(open, buffer, bytes);
	return 0;
}

SEC("fentry/proc_reg_write")
int BPF_PROG(setting_procfs_fentry, struct file *file, const char *buffer, u64 bytes)
{
	on_procfs(file, buffer, bytes);
	return 0;
}

SEC("kprobe/sysfs_kf_write")
int BPF_KPROBE(setting_sysfs_kprobe, struct kernfs_open_file *open, char *buffer, u64 bytes)
{
	on_sysfs(open, buffer, bytes);
	return 0;
}

SEC("kprobe/sysfs_kf_bin_write")
int BPF_KPROBE(setting_binary_kprobe, struct kernfs_open_file *open, char *buffer, u64 bytes)
{
	on_sysfs(open, buffer, bytes);
	return 0;
}

SEC("kprobe/proc_reg_write")
int BPF_KPROBE(setting_procfs_kprobe, struct file *file, const char *buffer, u64 bytes)
{
	on_procfs(file, buffer, bytes);
	return 0;
}
