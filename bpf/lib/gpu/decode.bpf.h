/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What an ioctl asks of a driver of the GPU's surface. By number (_IOC_NR) and size alone: the
 * driver looks at neither type nor direction, so that a call with other ones is as good.
 *
 * Numbers and offsets: NVIDIA open-gpu-kernel-modules, nv_escape.h, nv-ioctl-numbers.h, nvos.h and
 * uvm_ioctl.h, the same in branches 515 to 595.
 */
#ifndef VEDETTE_GPU_DECODE_BPF_H
#define VEDETTE_GPU_DECODE_BPF_H

#include "call.bpf.h"

#define IOCTL_NUMBER(command) ((command) & 0xff)
#define IOCTL_BYTES(command) ((command) >> 16 & 0x3fff)

#define ESCAPE_RM_ALLOC_MEMORY 0x27
#define ESCAPE_RM_FREE 0x29
#define ESCAPE_RM_CONTROL 0x2a
#define ESCAPE_RM_ALLOC 0x2b
#define ESCAPE_RM_DUP_OBJECT 0x34
#define ESCAPE_RM_SHARE 0x35
#define ESCAPE_RM_VID_HEAP_CONTROL 0x4a
#define ESCAPE_RM_ACCESS_REGISTRY 0x4d
#define ESCAPE_RM_MAP_MEMORY 0x4e
#define ESCAPE_RM_UNMAP_MEMORY 0x4f
#define ESCAPE_IOCTL_XFER_CMD 0xd3
#define ESCAPE_EXPORT_TO_DMABUF_FD 0xd9

#define CLASS_ROOT 0x0000
#define CLASS_ROOT_NON_PRIVILEGED 0x0001
#define CLASS_ROOT_CLIENT 0x0041
#define CLASS_DEBUGGER 0x83de
#define CLASS_PROFILER_LEGACY 0x90cc
#define CLASS_PROFILER 0xb0cc
#define CLASS_PROFILER_CONTEXT 0xb1cc
#define CLASS_PROFILER_DEVICE 0xb2cc
/* Where the client that is aimed at lies in the parameters of its allocation. */
#define DEBUGGER_CLIENT_OFFSET 4
#define PROFILER_CLIENT_OFFSET 0
/* paramsSize of the longer form of RM_ALLOC. */
#define ALLOC_LONG_BYTES 40
#define ALLOC_LONG_PARAMS_OFFSET 32

#define UVM_TOOLS_INIT_EVENT_TRACKER 56
#define UVM_TOOLS_READ_PROCESS_MEMORY 62
#define UVM_TOOLS_WRITE_PROCESS_MEMORY 63
#define UVM_EVENT_TRACKER_FD_OFFSET 44

/* Where the arguments of an ioctl are. What they point to is always the process's. */
enum args_place {
	/* Memory of the process, which may be waited for. */
	ARGS_USER_WAITING,
	/* Memory of the process, as far as it is there. */
	ARGS_USER,
	/* Copied by the driver already. */
	ARGS_KERNEL,
};

/* False when it could not be read; `to` is zeros then. */
static __always_inline bool args_read(void *to, u32 bytes, u64 from, const enum args_place place)
{
	long status;

	if (place == ARGS_USER_WAITING)
		status = bpf_copy_from_user(to, bytes, (void *)from);
	else if (place == ARGS_USER)
		status = bpf_probe_read_user(to, bytes, (void *)from);
	else
		status = bpf_probe_read_kernel(to, bytes, (void *)from);
	if (status == 0)
		return true;
	__builtin_memset(to, 0, bytes);
	return false;
}

static __always_inline enum args_place params_place(const enum args_place place)
{
	return place == ARGS_KERNEL ? ARGS_USER : place;
}

/*
 * Commands that set a state by the first bytes of their parameters; how many. The same in all
 * branches of the driver: ctrl2080gpu.h, ctrl0080gpu.h, ctrlcb33.h.
 */
static __always_inline u32 control_value_bytes(u32 command)
{
	switch (command) {
	case 0x20800130: /* GPU_SET_COMPUTE_MODE_RULES */
	case 0x20800134: /* GPU_SET_ECC_CONFIGURATION */
	case 0x20800174: /* GPU_SET_PARTITIONS */
	case 0x20800183: /* GPU_SET_PARTITIONING_MODE */
	case 0x20801356: /* FB_SET_DRAM_ENCRYPTION_CONFIGURATION */
	case 0x00800287: /* GPU_MODIFY_SW_STATE_PERSISTENCE */
		return 4;
	case 0xcb330105: /* CONF_COMPUTE_SYSTEM_SET_GPUS_STATE */
		return 1;
	}
	return 0;
}

static __always_inline bool class_aims_at_client(u32 class)
{
	return class == CLASS_DEBUGGER || class == CLASS_PROFILER_LEGACY ||
	       class == CLASS_PROFILER || class == CLASS_PROFILER_CONTEXT ||
	       class == CLASS_PROFILER_DEVICE;
}

static __always_inline void decode_control(struct gpu_request *request, u64 args,
					   const enum args_place place)
{
	struct gpu_object_key object = {};
	u32 words[8], bytes, *target;
	u64 params;

	request->call_kind = GPU_CALL_KIND_CONTROL;
	if (!args_read(words, sizeof(words), args, place))
		request->unread = 1;
	request->client = words[0];
	request->object = words[1];
	request->command = words[2];
	request->params_bytes = words[6];
	params = words[4] | (u64)words[5] << 32;
	bytes = control_value_bytes(request->command);
	if (bytes == 4)
		request->has_value = args_read(&request->value, 4, params, params_place(place));
	else if (bytes == 1)
		request->has_value = args_read(&request->value, 1, params, params_place(place));
	if (bytes && !request->has_value)
		request->unread = 1;
	if (!class_aims_at_client(request->command >> 16))
		return;
	object.client = request->client;
	object.object = request->object;
	target = bpf_map_lookup_elem(&gpu_objects, &object);
	if (target)
		request->target_client = *target;
}

/* The client that a debugger or profiler aims at, beside the one that it is made by. */
static __always_inline void decode_alloc_aim(struct gpu_request *request, u64 params,
					     const enum args_place place)
{
	struct gpu_object_key object = { .client = request->client, .object = request->object };
	u32 target = 0;

	if (!params)
		return;
	if (request->command == CLASS_DEBUGGER)
		params += DEBUGGER_CLIENT_OFFSET;
	else
		params += PROFILER_CLIENT_OFFSET;
	if (!args_read(&target, sizeof(target), params, place))
		request->unread = 1;
	if (target == request->client)
		target = 0;
	request->target_client = target;
	/* 0: the driver chooses the handle, and only its answer tells. */
	if (!object.object)
		return;
	if (target)
		bpf_map_update_elem(&gpu_objects, &object, &target, BPF_ANY);
	else
		bpf_map_delete_elem(&gpu_objects, &object);
}

static __always_inline bool is_root_class(u32 class)
{
	return class == CLASS_ROOT || class == CLASS_ROOT_NON_PRIVILEGED ||
	       class == CLASS_ROOT_CLIENT;
}

static __always_inline void decode_alloc(struct gpu_request *request, u64 args,
					 const enum args_place place)
{
	u32 words[6];

	request->call_kind = GPU_CALL_KIND_ALLOC;
	if (!args_read(words, sizeof(words), args, place)) {
		request->unread = 1;
		return;
	}
	request->client = words[0];
	request->object = words[2];
	request->command = words[3];
	if (request->args_bytes >= ALLOC_LONG_BYTES)
		args_read(&request->params_bytes, sizeof(request->params_bytes),
			  args + ALLOC_LONG_PARAMS_OFFSET, place);
	/* A client is its own root; its handle is what it asks for, or 0. */
	if (is_root_class(request->command))
		request->client = words[2];
	if (request->command == CLASS_DEBUGGER || request->command == CLASS_PROFILER_DEVICE)
		decode_alloc_aim(request, words[4] | (u64)words[5] << 32, params_place(place));
}

/* Other calls that carry a client handle, at the beginning of their arguments. */
static __always_inline void decode_other(struct gpu_request *request, u64 args,
					 const enum args_place place)
{
	u32 words[4];

	if (!args_read(words, sizeof(words), args, place)) {
		request->unread = 1;
		return;
	}
	request->client = words[0];
	request->object = words[2];
	switch (request->escape) {
	case ESCAPE_RM_ALLOC_MEMORY:
		request->call_kind = GPU_CALL_KIND_ALLOC;
		request->command = words[3];
		break;
	case ESCAPE_RM_DUP_OBJECT:
		request->target_client = words[3] == words[0] ? 0 : words[3];
		break;
	case ESCAPE_RM_SHARE:
		request->value = words[3];
		request->has_value = 1;
		break;
	case ESCAPE_RM_ACCESS_REGISTRY:
		request->value = words[2];
		request->has_value = 1;
		break;
	case ESCAPE_EXPORT_TO_DMABUF_FD:
		request->client = words[1];
		break;
	}
}

/* /dev/nvidiactl and /dev/nvidia0 and on; `command` and `args` as the driver's entry got them. */
static __always_inline void decode_rm(struct gpu_request *request, u32 command, u64 args,
				      const enum args_place place)
{
	struct {
		u32 command;
		u32 bytes;
		u64 args;
	} inner;

	request->escape = IOCTL_NUMBER(command);
	if (request->escape == ESCAPE_IOCTL_XFER_CMD && place != ARGS_KERNEL) {
		if (!args_read(&inner, sizeof(inner), args, place)) {
			request->unread = 1;
			return;
		}
		/* Once: the driver does not unwrap what it unwrapped. */
		request->wrapped = 1;
		request->escape = IOCTL_NUMBER(inner.command);
		request->args_bytes = inner.bytes;
		args = inner.args;
	}
	switch (request->escape) {
	case ESCAPE_RM_CONTROL:
		decode_control(request, args, place);
		break;
	case ESCAPE_RM_ALLOC:
		decode_alloc(request, args, place);
		break;
	case ESCAPE_RM_ALLOC_MEMORY:
	case ESCAPE_RM_FREE:
	case ESCAPE_RM_DUP_OBJECT:
	case ESCAPE_RM_SHARE:
	case ESCAPE_RM_VID_HEAP_CONTROL:
	case ESCAPE_RM_ACCESS_REGISTRY:
	case ESCAPE_RM_MAP_MEMORY:
	case ESCAPE_RM_UNMAP_MEMORY:
	case ESCAPE_EXPORT_TO_DMABUF_FD:
		decode_other(request, args, place);
		break;
	}
}

/* Unified memory: commands are plain numbers. Some act on the address space of a file. */
static __always_inline void decode_uvm(struct gpu_request *request, u32 command, u64 args,
				       const enum args_place place)
{
	request->escape = command;
	request->args_bytes = 0;
	request->target_fd = -1;
	switch (command) {
	case UVM_TOOLS_READ_PROCESS_MEMORY:
	case UVM_TOOLS_WRITE_PROCESS_MEMORY:
		request->aims_at_file = 1;
		break;
	case UVM_TOOLS_INIT_EVENT_TRACKER:
		if (!args_read(&request->target_fd, sizeof(request->target_fd),
			       args + UVM_EVENT_TRACKER_FD_OFFSET, place)) {
			request->unread = 1;
			request->target_fd = -1;
		}
		break;
	}
}

/* `request` has its device, family and file, and is zeros otherwise. */
static __always_inline void gpu_decode(struct gpu_request *request, u32 command, u64 args,
				       const enum args_place place)
{
	request->call_kind = GPU_CALL_KIND_ESCAPE;
	request->args_bytes = IOCTL_BYTES(command);
	switch (request->family) {
	case GPU_DEVICE_FAMILY_NVIDIA:
	case GPU_DEVICE_FAMILY_NVIDIACTL:
		decode_rm(request, command, args, place);
		break;
	case GPU_DEVICE_FAMILY_NVIDIA_UVM:
	case GPU_DEVICE_FAMILY_NVIDIA_UVM_TOOLS:
		decode_uvm(request, command, args, place);
		break;
	default:
		request->escape = IOCTL_NUMBER(command);
	}
}

#endif
