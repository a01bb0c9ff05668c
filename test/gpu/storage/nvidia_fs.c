// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * A stand-in for the driver of GPUDirect Storage, for tests in virtual machines: it reads a file in
 * the thread that asks, past the page cache, by a function of the name that the real one has; into
 * memory of the caller, since there is no GPU. Never shipped.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <linux/version.h>

/* Of the real one, whose type is 't' and whose reads are number 2; its words are others. */
struct request {
	__u64 address;
	__u64 bytes;
	__u64 offset;
	__s64 result;
	__u32 fd;
	__u32 spare;
};
#define READ_FILE _IOWR('t', 2, struct request)

long nvfs_io_start_op(struct file *file, struct request *request);

noinline long nvfs_io_start_op(struct file *file, struct request *request)
{
	struct iovec part = { (void __user *)request->address, request->bytes };
	struct iov_iter iter;
	struct kiocb control;

	init_sync_kiocb(&control, file);
	control.ki_pos = request->offset;
	control.ki_flags |= IOCB_DIRECT;
	iov_iter_init(&iter, READ, &part, 1, request->bytes);
	return file->f_op->read_iter(&control, &iter);
}

static long answer(struct file *device, unsigned int command, unsigned long address)
{
	struct request request;
	struct file *file;

	if (command != READ_FILE ||
	    copy_from_user(&request, (void __user *)address, sizeof(request)))
		return -EINVAL;
	file = fget(request.fd);
	if (!file)
		return -EBADF;
	request.result = file->f_op->read_iter ? nvfs_io_start_op(file, &request) : -EINVAL;
	fput(file);
	return copy_to_user((void __user *)address, &request, sizeof(request)) ? -EFAULT : 0;
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = answer,
};
static struct miscdevice node = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "nvidia-fs0",
	.fops = &operations,
};

module_misc_device(node);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Stand-in for the driver of GPUDirect Storage, for tests");
