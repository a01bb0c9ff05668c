// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/* The files of the stand-in: /proc/driver/nvidia, and in debugfs what tests tell it. */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>
#include "stand_in.h"

static bool proprietary;
module_param(proprietary, bool, 0444);
MODULE_PARM_DESC(proprietary, "the version names the proprietary flavour");
static int NVreg_RestrictProfilingToAdminUsers = 1;
module_param(NVreg_RestrictProfilingToAdminUsers, int, 0);
static char *gpu = "0000:1b:00.0";
module_param(gpu, charp, 0444);
MODULE_PARM_DESC(gpu, "PCI address of the only GPU");

static struct proc_dir_entry *proc_root;
static struct dentry *debug_root;
static char registry[256];

static int version_show(struct seq_file *seq, void *unused)
{
	seq_printf(seq, "NVRM version: NVIDIA UNIX %s  %s  %s%s\n",
		   proprietary ? "x86_64 Kernel Module" : "Open Kernel Module for x86_64",
		   NV_VERSION, proprietary ? "" : "Release Build  (builder@host)  ",
		   "Thu Jan  8 12:00:00 UTC 2026");
	seq_puts(seq, "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n");
	return 0;
}

static int params_show(struct seq_file *seq, void *unused)
{
	seq_puts(seq, "ResmanDebugLevel: 4294967295\nRmLogonRC: 1\nModifyDeviceFiles: 1\n"
		 "DeviceFileUID: 0\nDeviceFileGID: 0\nDeviceFileMode: 438\n"
		 "InitializeSystemMemoryAllocations: 1\nIgnoreMMIOCheck: 0\n");
	seq_printf(seq, "RmProfilingAdminOnly: %d\n", NVreg_RestrictProfilingToAdminUsers);
	seq_puts(seq, "EnableGpuFirmware: 18\nEnableDbgBreakpoint: 0\n"
		 "OpenRmEnableUnsupportedGpus: 1\nImexChannelCount: 2048\n"
		 "CreateImexChannel0: 0\nRegistryDwords: \"\"\nRegistryDwordsPerDevice: \"\"\n"
		 "RmMsg: \"\"\nTemporaryFilePath: \"\"\nExcludedGpus: \"\"\n");
	return 0;
}

static int information_show(struct seq_file *seq, void *unused)
{
	seq_puts(seq, "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 152\n"
		 "GPU UUID: \t GPU-2c1f7a3e-0c4b-45a1-9a54-6a5f1f8c1e2d\n"
		 "Video BIOS: \t 96.00.74.00.09\nBus Type: \t PCIe\nDMA Size: \t 52 bits\n"
		 "DMA Mask: \t 0xfffffffffffff\n");
	seq_printf(seq, "Bus Location: \t %s\nDevice Minor: \t 0\nGPU Firmware: \t %s\n", gpu,
		   NV_VERSION);
	seq_puts(seq, "GPU Excluded:\t No\n");
	return 0;
}

static int registry_show(struct seq_file *seq, void *unused)
{
	seq_printf(seq, "Binary: \"%s\"\n", registry);
	return 0;
}

static int registry_open(struct inode *inode, struct file *file)
{
	return single_open(file, registry_show, NULL);
}

/* One line of at most `max` - 1 letters; negative errno. */
static ssize_t line_from_user(char *line, size_t max, const char __user *from, size_t bytes)
{
	size_t length = min(bytes, max - 1);

	if (copy_from_user(line, from, length))
		return -EFAULT;
	line[length] = 0;
	strim(line);
	return bytes;
}

static ssize_t registry_write(struct file *file, const char __user *from, size_t bytes,
			      loff_t *at)
{
	return line_from_user(registry, sizeof(registry), from, bytes);
}

static const struct proc_ops registry_ops = {
	.proc_open = registry_open,
	.proc_read = seq_read,
	.proc_lseek = seq_lseek,
	.proc_release = single_release,
	.proc_write = registry_write,
};

/* What is written is logged as the driver logs an error of the GPU. */
static ssize_t xid_write(struct file *file, const char __user *from, size_t bytes, loff_t *at)
{
	char line[512];
	ssize_t status = line_from_user(line, sizeof(line), from, bytes);

	if (status > 0)
		pr_err("NVRM: Xid (PCI:%.10s): %s\n", gpu, line);
	return status;
}

static const struct file_operations xid_fops = {
	.owner = THIS_MODULE,
	.write = xid_write,
};

void files_add(u32 *delay_ms)
{
	struct proc_dir_entry *gpus, *one;

	proc_root = proc_mkdir("driver/nvidia", NULL);
	proc_create_single("version", 0444, proc_root, version_show);
	proc_create_single("params", 0444, proc_root, params_show);
	proc_create("registry", 0644, proc_root, &registry_ops);
	gpus = proc_mkdir("gpus", proc_root);
	one = proc_mkdir(gpu, gpus);
	proc_create_single("information", 0444, one, information_show);
	debug_root = debugfs_create_dir("nvidia-stand-in", NULL);
	debugfs_create_file("xid", 0200, debug_root, NULL, &xid_fops);
	debugfs_create_u32("delay_ms", 0600, debug_root, delay_ms);
}

void files_remove(void)
{
	debugfs_remove_recursive(debug_root);
	if (proc_root)
		proc_remove(proc_root);
}
