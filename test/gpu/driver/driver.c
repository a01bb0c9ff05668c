// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * A stand-in for NVIDIA's kernel module, for tests in virtual machines. It drives nothing: it has the
 * devices, the calls, the files in /proc and the log lines of the real one, so that whoever watches a
 * driver can be tested without a GPU. Never shipped.
 *
 * Numbers, sizes and texts: NVIDIA open-gpu-kernel-modules (MIT), kernel-open/nvidia and
 * src/common/sdk/nvidia/inc. No line is taken from there.
 */
#include <linux/cdev.h>
#include <linux/delay.h>
#include <linux/firmware.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "stand_in.h"

#define NV_MAJOR 195
#define NV_MINOR_MODESET 254
#define NV_MINOR_CTL 255
#define NV_ABSOLUTE_MAX_IOCTL_SIZE 16384

#define NV_ESC_IOCTL_XFER_CMD 0xd3
#define NV_ERR_INSUFFICIENT_PERMISSIONS 0x1b
#define NV_ERR_INVALID_ARGUMENT 0x1f
#define NV_ERR_NOT_SUPPORTED 0x56

static bool frontend;
module_param(frontend, bool, 0444);
MODULE_PARM_DESC(frontend, "one device named nvidia-frontend, as up to branch 535");
static bool load_firmware = true;
module_param(load_firmware, bool, 0444);

/* Before arguments are copied: for tests in which somebody changes them meanwhile. */
static u32 delay_ms;
static atomic_t next_handle = ATOMIC_INIT(1);
static struct platform_device *adapter;

/* Commands that need CAP_SYS_ADMIN, of those that the tests use. */
static bool is_privileged(u32 command)
{
	switch (command) {
	case 0x20800130:
	case 0x20800134:
	case 0x20800136:
	case 0x20800183:
	case 0x00800287:
	case 0x00000602:
	case 0xcb330105:
		return true;
	}
	return (command & 0xc000) == 0xc000;
}

static u32 control(u32 *args)
{
	u64 params = args[4] | (u64)args[5] << 32;
	u32 bytes = args[6];
	void *copy;
	u32 status = 0;

	if (bytes > NV_ABSOLUTE_MAX_IOCTL_SIZE)
		return NV_ERR_INVALID_ARGUMENT;
	if (is_privileged(args[2]) && !capable(CAP_SYS_ADMIN))
		return NV_ERR_INSUFFICIENT_PERMISSIONS;
	copy = kzalloc(bytes ? bytes : 1, GFP_KERNEL);
	if (!copy)
		return NV_ERR_INVALID_ARGUMENT;
	if (bytes && (copy_from_user(copy, (void __user *)params, bytes) ||
		      copy_to_user((void __user *)params, copy, bytes)))
		status = NV_ERR_INVALID_ARGUMENT;
	kfree(copy);
	return status;
}

static u32 alloc(u32 *args)
{
	u32 class = args[3];
	bool root = class == 0 || class == 1 || class == 0x41;

	if (class == 0x0081 && !capable(CAP_SYS_ADMIN))
		return NV_ERR_INSUFFICIENT_PERMISSIONS;
	if (args[2] == 0)
		args[2] = (root ? 0xc1d00000 : 0x5c000000) + atomic_inc_return(&next_handle);
	if (root)
		args[0] = args[2];
	return 0;
}

struct rm_call {
	u32 command;
	u32 bytes;
	u32 status_offset;
};

static const struct rm_call rm_calls[] = {
	{ 0x27, 56, 40 }, { 0x29, 16, 12 }, { 0x2a, 32, 28 }, { 0x2b, 48, 40 }, { 0x2b, 40, 36 },
	{ 0x2b, 32, 28 }, { 0x34, 28, 24 }, { 0x35, 24, 20 }, { 0x4a, 184, 20 }, { 0x4d, 72, 64 },
	{ 0x4e, 56, 40 }, { 0x4f, 32, 28 },
};

/* The border between the kernel's part of the driver and the rest: `data` is a copy. */
noinline u32 rm_ioctl(void *sp, void *nv, void *nvfp, u32 command, void *data, u32 bytes);
noinline u32 rm_ioctl(void *sp, void *nv, void *nvfp, u32 command, void *data, u32 bytes)
{
	u32 *args = data;
	int i;

	for (i = 0; i < ARRAY_SIZE(rm_calls); i++) {
		if (rm_calls[i].command != command || rm_calls[i].bytes != bytes)
			continue;
		args[rm_calls[i].status_offset / 4] =
			command == 0x2a ? control(args) : command == 0x2b ? alloc(args) : 0;
		return 0;
	}
	pr_err("NVRM:unknown NVRM ioctl command: 0x%x\n", command);
	return NV_ERR_NOT_SUPPORTED;
}

/* Calls that the kernel's part answers by itself: with what they brought. */
static bool is_answered_here(u32 command)
{
	return command >= 0xc8 && command <= 0xda;
}

struct xfer {
	u32 command;
	u32 bytes;
	u64 args;
};

static long nvidia_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	void __user *args = (void __user *)arg;
	u32 number = _IOC_NR(command), bytes = _IOC_SIZE(command);
	struct xfer xfer;
	long status = 0;
	void *copy;

	if (delay_ms)
		msleep(delay_ms);
	if (number == NV_ESC_IOCTL_XFER_CMD) {
		if (bytes != sizeof(xfer) || copy_from_user(&xfer, args, sizeof(xfer)))
			return -EFAULT;
		number = xfer.command;
		bytes = xfer.bytes;
		args = (void __user *)xfer.args;
		if (bytes > NV_ABSOLUTE_MAX_IOCTL_SIZE)
			return -EINVAL;
	}
	copy = kzalloc(bytes ? bytes : 1, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	if (copy_from_user(copy, args, bytes))
		status = -EFAULT;
	else if (!is_answered_here(number) &&
		 rm_ioctl(NULL, NULL, file->private_data, number, copy, bytes) != 0)
		status = -EINVAL;
	else if (copy_to_user(args, copy, bytes))
		status = -EFAULT;
	kfree(copy);
	return status;
}

/* Of the other devices: every command is taken, nothing is done. */
static long other_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	return 0;
}

static const struct file_operations nvidia_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = nvidia_ioctl,
	.compat_ioctl = nvidia_ioctl,
};

static const struct file_operations other_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = other_ioctl,
	.compat_ioctl = other_ioctl,
};

static struct device_range {
	const char *name;
	/* 0: given out by the kernel. */
	int major;
	int first;
	int count;
	const struct file_operations *fops;
	dev_t number;
	struct cdev cdev;
	bool there;
} ranges[] = {
	{ "nvidia-frontend", NV_MAJOR, 0, 256, &nvidia_fops },
	{ "nvidia", NV_MAJOR, 0, 248, &nvidia_fops },
	{ "nvidia-modeset", NV_MAJOR, NV_MINOR_MODESET, 1, &other_fops },
	{ "nvidiactl", NV_MAJOR, NV_MINOR_CTL, 1, &nvidia_fops },
	{ "nvidia-uvm", 0, 0, 2, &other_fops },
	{ "nvidia-caps", 0, 0, 64, &other_fops },
	{ "nvidia-caps-imex-channels", 0, 0, 16, &other_fops },
	{ "nvidia-nvswitch", 0, 0, 256, &other_fops },
};

static int range_add(struct device_range *range)
{
	int status;

	range->number = MKDEV(range->major, range->first);
	if (range->major)
		status = register_chrdev_region(range->number, range->count, range->name);
	else
		status = alloc_chrdev_region(&range->number, range->first, range->count,
					     range->name);
	if (status)
		return status;
	cdev_init(&range->cdev, range->fops);
	range->cdev.owner = THIS_MODULE;
	status = cdev_add(&range->cdev, range->number, range->count);
	if (status)
		unregister_chrdev_region(range->number, range->count);
	range->there = status == 0;
	return status;
}

static void gsp_load(void)
{
	const struct firmware *image;
	int status = request_firmware(&image, "nvidia/" NV_VERSION "/gsp_ga10x.bin",
				      &adapter->dev);

	if (status) {
		pr_err("NVRM: RmInitAdapter: Cannot initialize GSP firmware RM\n");
		return;
	}
	release_firmware(image);
}

static void take_away(void)
{
	int i;

	files_remove();
	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		if (!ranges[i].there)
			continue;
		cdev_del(&ranges[i].cdev);
		unregister_chrdev_region(ranges[i].number, ranges[i].count);
	}
	if (!IS_ERR_OR_NULL(adapter))
		platform_device_unregister(adapter);
}

static int __init stand_in_init(void)
{
	int i, status = 0;

	for (i = 0; i < ARRAY_SIZE(ranges) && !status; i++)
		if ((ranges[i].major == NV_MAJOR && (i == 0) == frontend) || !ranges[i].major)
			status = range_add(&ranges[i]);
	if (!status) {
		adapter = platform_device_register_simple("nvidia-stand-in", -1, NULL, 0);
		status = PTR_ERR_OR_ZERO(adapter);
	}
	if (status) {
		take_away();
		return status;
	}
	files_add(&delay_ms);
	if (load_firmware)
		gsp_load();
	pr_info("NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  %s\n", NV_VERSION);
	return 0;
}

static void __exit stand_in_exit(void)
{
	take_away();
}

module_init(stand_in_init);
module_exit(stand_in_exit);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_VERSION(NV_VERSION);
MODULE_DESCRIPTION("Stand-in for the NVIDIA driver, for tests");
MODULE_ALIAS("char-major-195-*");
MODULE_FIRMWARE("nvidia/" NV_VERSION "/gsp_ga10x.bin");
