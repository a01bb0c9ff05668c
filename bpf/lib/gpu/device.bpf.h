/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The devices of the GPU's surface: everything through which GPUs, their memory and their links are
 * reached. By device number and never by path: a node can be made anywhere.
 *
 * Fixed numbers: NVIDIA open-gpu-kernel-modules, kernel-open/common/inc/nv-chardev-numbers.h.
 */
#ifndef VEDETTE_GPU_DEVICE_BPF_H
#define VEDETTE_GPU_DEVICE_BPF_H

#include "maps.bpf.h"

#define MINOR_BITS 20
#define MINOR_ALL 0xfffff
#define MAJOR_NVIDIA 195
#define MINOR_NVIDIA_MODESET 254
#define MINOR_NVIDIACTL 255
#define MINOR_NVIDIA_UVM_TOOLS 1
/* /dev/mem. */
#define DEVICE_MEM (1 << MINOR_BITS | 1)
/* super_block.s_magic of sysfs (linux/magic.h). */
#define SYSFS_MAGIC 0x62656572
/* "resource" as the number that it is in memory; the BARs have a digit after it. */
#define NAME_RESOURCE 0x656372756f736572ull
#define NAME_RESOURCE_BYTES 8

/* Vendor of the GPUs on the PCI bus: NVIDIA's. A test has no such card. */
const volatile u16 gpu_pci_vendor __weak = 0x10de;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct inode___device {
	u32 i_rdev;
	void *i_private;
};

struct file___flags {
	unsigned int f_flags;
};

/* Renamed in Linux 6.15. */
struct kernfs_node___parent {
	struct kernfs_node___parent *__parent;
	void *priv;
};

struct kernfs_node___before_6_15 {
	struct kernfs_node___before_6_15 *parent;
	void *priv;
};

struct kobject {
	const char *name;
};

struct device {
	struct kobject kobj;
};

struct pci_dev {
	unsigned short vendor;
	struct device dev;
};

#pragma clang attribute pop

/*
 * Devices whose numbers the kernel gives out as it goes, filled by the agent from /proc/devices.
 * The key is a device number; with MINOR_ALL as its minor, it stands for all of its major that are
 * not below `minor_from`. `by_minor`: only those that have an entry of their own count.
 */
struct gpu_device_numbers {
	u32 minor_from;
	u8 family;
	u8 by_minor;
	u8 _pad[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, struct gpu_device_numbers);
} gpu_devices __weak SEC(".maps");

static __always_inline u8 gpu_family_of_map(u32 device)
{
	u32 key = device | MINOR_ALL;
	struct gpu_device_numbers *numbers = bpf_map_lookup_elem(&gpu_devices, &key);

	if (!numbers)
		return 0;
	if (numbers->by_minor) {
		numbers = bpf_map_lookup_elem(&gpu_devices, &device);
		if (!numbers)
			return 0;
	}
	if ((device & MINOR_ALL) < numbers->minor_from)
		return 0;
	if (numbers->family == GPU_DEVICE_FAMILY_NVIDIA_UVM &&
	    (device & MINOR_ALL) == MINOR_NVIDIA_UVM_TOOLS)
		return GPU_DEVICE_FAMILY_NVIDIA_UVM_TOOLS;
	return numbers->family;
}

/* What a device number stands for; 0: nothing of a GPU. `device` is not 0. */
static __always_inline u8 gpu_family_of(u32 device)
{
	if (device >> MINOR_BITS != MAJOR_NVIDIA)
		return device == DEVICE_MEM ? GPU_DEVICE_FAMILY_MEM : gpu_family_of_map(device);
	switch (device & MINOR_ALL) {
	case MINOR_NVIDIACTL:
		return GPU_DEVICE_FAMILY_NVIDIACTL;
	case MINOR_NVIDIA_MODESET:
		return GPU_DEVICE_FAMILY_NVIDIA_MODESET;
	}
	return GPU_DEVICE_FAMILY_NVIDIA;
}

/* The folder in sysfs of an attribute is that of its device. */
static __always_inline void *kobject_of(void *kernfs_node)
{
	struct kernfs_node___before_6_15 *before = kernfs_node;
	struct kernfs_node___parent *node = kernfs_node;

	if (bpf_core_field_exists(node->__parent))
		return BPF_CORE_READ(node, __parent, priv);
	return BPF_CORE_READ(before, parent, priv);
}

/*
 * A BAR of a PCI device of NVIDIA: with it a GPU is driven without any driver. Only PCI devices
 * have attributes of this name. The file is in sysfs.
 */
static __always_inline bool is_pci_resource(struct file *file, struct inode *inode)
{
	struct inode___device *with_private = (void *)inode;
	struct dentry *dentry;
	struct pci_dev *pci;
	void *kobject;
	u64 name = 0;
	u8 digit = 0;

	dentry = BPF_CORE_READ(file, f_path.dentry);
	if (BPF_CORE_READ(dentry, d_name.len) <= NAME_RESOURCE_BYTES)
		return false;
	bpf_probe_read_kernel(&name, sizeof(name), BPF_CORE_READ(dentry, d_name.name));
	if (name != NAME_RESOURCE)
		return false;
	bpf_probe_read_kernel(&digit, sizeof(digit),
			      BPF_CORE_READ(dentry, d_name.name) + NAME_RESOURCE_BYTES);
	if (digit < '0' || digit > '9')
		return false;
	kobject = kobject_of(BPF_CORE_READ(with_private, i_private));
	if (!kobject)
		return false;
	pci = kobject - bpf_core_field_offset(struct device, kobj) -
	      bpf_core_field_offset(struct pci_dev, dev);
	return BPF_CORE_READ(pci, vendor) == gpu_pci_vendor;
}

/*
 * What was opened; `device` is its number, or that of its file system. `rdev` is the number of the
 * character device, or 0.
 */
static __always_inline u8 gpu_family_of_file(struct file *file, struct inode *inode, u32 rdev,
					     bool in_sysfs, u32 *device)
{
	*device = rdev;
	if (rdev)
		return gpu_family_of(rdev);
	if (!in_sysfs || !is_pci_resource(file, inode))
		return 0;
	*device = BPF_CORE_READ(inode, i_sb, s_dev);
	return GPU_DEVICE_FAMILY_PCI_RESOURCE;
}

#endif
