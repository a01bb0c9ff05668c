/*
 * A stand-in for libnvidia-ml.so.1, for tests: the functions that Vedette calls, with the argument
 * types, structure sizes and return codes of NVML's documented interface. It never ships.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "standin.h"

typedef unsigned int word;

static int gpu_of(void *handle) { return (int)((uintptr_t)handle - HANDLE_BASE); }

static word count(void) {
  char room[256];
  const char *said = garbage() == 1 ? "1000000" : value_of(-1, "device_count", room);
  return said ? (word)strtoul(said, 0, 10) : 0;
}

static int text(int gpu, const char *item, char *to, word length) {
  char room[256];
  const char *said = value_of(gpu, item, room);
  if (garbage()) return memset(to, 0xfe, length), SUCCESS;
  if (!said) return NOT_SUPPORTED;
  if (strlen(said) >= length) return 7; /* INSUFFICIENT_SIZE */
  return strcpy(to, said), SUCCESS;
}

static int number(int gpu, const char *item, void *to, size_t bytes) {
  char room[256];
  const char *said = value_of(gpu, item, room);
  uint64_t value = garbage() ? UINT64_MAX : said ? strtoull(said, 0, 10) : 0;
  if (!said && !garbage()) return NOT_SUPPORTED;
  memcpy(to, &value, bytes);
  return SUCCESS;
}

static int at(void *structure, size_t offset, int gpu, const char *item) {
  return number(gpu, item, (char *)structure + offset, 4);
}

static int wrong_version(void *structure, word version) {
  return memcmp(structure, &version, 4) ? ARGUMENT_VERSION_MISMATCH : SUCCESS;
}

#define EXPORT __attribute__((visibility("default")))
/* First of all a function does what the control file says. */
#define ENTER                       \
  do {                              \
    int said = enter(__func__);     \
    if (said) return said;          \
  } while (0)
#define TEXT(name, item)                               \
  EXPORT int name(void *gpu, char *to, word length) {  \
    ENTER;                                             \
    return text(gpu_of(gpu), item, to, length);        \
  }
#define NUMBER(name, item)                             \
  EXPORT int name(void *gpu, word *to) {               \
    ENTER;                                             \
    return number(gpu_of(gpu), item, to, 4);           \
  }
#define PAIR(name, first, second)                                    \
  EXPORT int name(void *gpu, word *a, word *b) {                     \
    ENTER;                                                           \
    int status = number(gpu_of(gpu), first, a, 4);                   \
    return status ? status : number(gpu_of(gpu), second, b, 4);      \
  }
#define NODE_TEXT(name, item)               \
  EXPORT int name(char *to, word length) {  \
    ENTER;                                  \
    return text(-1, item, to, length);      \
  }
#define NODE_NUMBER(name, item)         \
  EXPORT int name(word *to) {           \
    ENTER;                              \
    return number(-1, item, to, 4);     \
  }

EXPORT int nvmlInit_v2(void) { return enter("nvmlInit_v2"); }
EXPORT int nvmlShutdown(void) { return enter("nvmlShutdown"); }

NODE_TEXT(nvmlSystemGetDriverVersion, "nvml_driver_version")
NODE_TEXT(nvmlSystemGetNVMLVersion, "nvml_version")
NODE_NUMBER(nvmlSystemGetCudaDriverVersion_v2, "cuda_driver_version")
NODE_NUMBER(nvmlSystemGetConfComputeGpusReadyState, "conf_compute_gpus_ready_state")

EXPORT int nvmlSystemGetDriverBranch(void *info, word length) {
  ENTER;
  int status = wrong_version(info, 0x01000054);
  return status ? status : text(-1, "driver_branch", (char *)info + 4, length);
}

EXPORT int nvmlSystemGetConfComputeCapabilities(void *caps) {
  ENTER;
  int status = at(caps, 0, -1, "conf_compute_cpu_caps");
  return status ? status : at(caps, 4, -1, "conf_compute_gpus_caps");
}

static int conf_compute(void *to, size_t offset) {
  int status = at(to, offset, -1, "conf_compute_environment");
  if (!status) status = at(to, offset + 4, -1, "conf_compute_feature");
  return status ? status : at(to, offset + 8, -1, "conf_compute_dev_tools_mode");
}

EXPORT int nvmlSystemGetConfComputeState(void *state) {
  ENTER;
  return conf_compute(state, 0);
}

EXPORT int nvmlSystemGetConfComputeSettings(void *settings) {
  ENTER;
  int status = wrong_version(settings, 0x01000014);
  if (!status) status = conf_compute(settings, 4);
  return status ? status : at(settings, 16, -1, "conf_compute_multi_gpu_mode");
}

EXPORT int nvmlDeviceGetCount_v2(word *to) {
  ENTER;
  *to = count();
  return SUCCESS;
}

EXPORT int nvmlDeviceGetHandleByIndex_v2(word index, void **to) {
  ENTER;
  if (index >= count()) return INVALID_ARGUMENT;
  *to = (void *)(uintptr_t)(HANDLE_BASE + index);
  return SUCCESS;
}

TEXT(nvmlDeviceGetName, "name")
TEXT(nvmlDeviceGetUUID, "uuid")
TEXT(nvmlDeviceGetSerial, "serial")
TEXT(nvmlDeviceGetBoardPartNumber, "board_part_number")
TEXT(nvmlDeviceGetVbiosVersion, "vbios_version")
TEXT(nvmlDeviceGetInforomImageVersion, "inforom_image_version")
NUMBER(nvmlDeviceGetMinorNumber, "minor_number")
NUMBER(nvmlDeviceGetArchitecture, "architecture")
NUMBER(nvmlDeviceGetVirtualizationMode, "virtualization_mode")
NUMBER(nvmlDeviceGetInforomConfigurationChecksum, "inforom_configuration_checksum")
NUMBER(nvmlDeviceGetDefaultEccMode, "default_ecc_mode")
NUMBER(nvmlDeviceGetPersistenceMode, "persistence_mode")
NUMBER(nvmlDeviceGetComputeMode, "compute_mode")
NUMBER(nvmlDeviceGetAccountingMode, "accounting_mode")
NUMBER(nvmlDeviceGetPowerManagementLimit, "power_management_limit_mw")
NUMBER(nvmlDeviceGetRetiredPagesPendingStatus, "retired_pages_pending")
PAIR(nvmlDeviceGetGspFirmwareMode, "gsp_firmware_mode", "gsp_firmware_default_mode")
PAIR(nvmlDeviceGetEccMode, "ecc_mode", "ecc_mode_pending")
PAIR(nvmlDeviceGetMigMode, "mig_mode", "mig_mode_pending")

EXPORT int nvmlDeviceGetPciInfo_v3(void *gpu, char *info) {
  ENTER;
  if (garbage()) return memset(info, 0xff, 68), SUCCESS;
  int status = text(gpu_of(gpu), "pci_bus_id", info + 36, 32);
  if (!status) status = at(info, 28, gpu_of(gpu), "pci_device_id");
  return status ? status : at(info, 32, gpu_of(gpu), "pci_subsystem_id");
}

EXPORT int nvmlDeviceGetInforomVersion(void *gpu, word object, char *to, word length) {
  ENTER;
  const char *items[] = {"inforom_oem_version", "inforom_ecc_version", "inforom_power_version"};
  return object > 2 ? INVALID_ARGUMENT : text(gpu_of(gpu), items[object], to, length);
}

EXPORT int nvmlDeviceValidateInforom(void *gpu) {
  ENTER;
  word valid = 0;
  int status = number(gpu_of(gpu), "inforom_valid", &valid, 4);
  return status ? status : valid ? SUCCESS : CORRUPTED_INFOROM;
}

EXPORT int nvmlDeviceGetGspFirmwareVersion(void *gpu, char *to) {
  ENTER;
  return text(gpu_of(gpu), "gsp_firmware_version", to, 64);
}

EXPORT int nvmlDeviceGetMigDeviceHandleByIndex(void *gpu, word index, void **to) {
  ENTER;
  word mode = 0;
  if (number(gpu_of(gpu), "mig_mode", &mode, 4)) return NOT_SUPPORTED;
  if (!garbage() && (!mode || index > 1)) return NOT_FOUND;
  *to = (void *)((uintptr_t)gpu + 1000 * (index + 1));
  return SUCCESS;
}

EXPORT int nvmlDeviceGetAPIRestriction(void *gpu, word api, word *to) {
  ENTER;
  const char *items[] = {"api_restriction_set_application_clocks", "api_restriction_set_auto_boosted_clocks"};
  return api > 1 ? INVALID_ARGUMENT : number(gpu_of(gpu), items[api], to, 4);
}

EXPORT int nvmlDeviceGetDramEncryptionMode(void *gpu, char *now, char *later) {
  ENTER;
  int status = wrong_version(now, 0x01000008) || wrong_version(later, 0x01000008);
  if (status) return ARGUMENT_VERSION_MISMATCH;
  status = at(now, 4, gpu_of(gpu), "dram_encryption_mode");
  return status ? status : at(later, 4, gpu_of(gpu), "dram_encryption_mode_pending");
}

EXPORT int nvmlDeviceGetRemappedRows(void *gpu, word *a, word *b, word *c, word *d) {
  ENTER;
  const char *items[] = {"remapped_rows_correctable", "remapped_rows_uncorrectable",
                         "remapped_rows_pending", "remapped_rows_failure"};
  word *to[] = {a, b, c, d};
  int status = SUCCESS;
  for (int i = 0; i < 4 && !status; i++) status = number(gpu_of(gpu), items[i], to[i], 4);
  return status;
}

EXPORT int nvmlDeviceGetTotalEccErrors(void *gpu, word type, word counter, uint64_t *to) {
  ENTER;
  if (type != 1 || counter != 1) return NOT_SUPPORTED;
  return number(gpu_of(gpu), "total_ecc_errors_uncorrected", to, 8);
}

EXPORT int nvmlDeviceGetConfComputeMemSizeInfo(void *gpu, uint64_t *to) {
  ENTER;
  return number(gpu_of(gpu), "conf_compute_protected_memory_kib", to, 8);
}

EXPORT int nvmlDeviceGetNvLinkState(void *gpu, word link, word *to) {
  ENTER;
  char room[256], item[32];
  const char *links = value_of(gpu_of(gpu), "nvlink_count", room);
  if (!links && !garbage()) return NOT_SUPPORTED;
  if (links && link >= (word)atoi(links) && !garbage()) return INVALID_ARGUMENT;
  snprintf(item, sizeof item, "nvlink_%u", link);
  const char *said = value_of(gpu_of(gpu), item, room);
  *to = said ? (word)atoi(said) : 1;
  return SUCCESS;
}

static int fabric(void *gpu, char *info, size_t offset) {
  char room[256], digits[3] = "";
  int index = gpu_of(gpu);
  const char *uuid = value_of(index, "fabric_cluster_uuid", room);
  if (!uuid) return NOT_SUPPORTED;
  for (int i = 0; i < 16; i++) {
    memcpy(digits, uuid + 2 * i, 2);
    info[offset + i] = (char)strtoul(digits, 0, 16);
  }
  int status = at(info, offset + 16, index, "fabric_status");
  if (!status) status = at(info, offset + 20, index, "fabric_clique_id");
  return status ? status : number(index, "fabric_state", info + offset + 24, 1);
}

EXPORT int nvmlDeviceGetGpuFabricInfo(void *gpu, char *info) {
  ENTER;
  return fabric(gpu, info, 0);
}

EXPORT int nvmlDeviceGetGpuFabricInfoV(void *gpu, char *info) {
  ENTER;
  char room[256];
  int newest = !wrong_version(info, 0x03000028) && !value_of(-1, "fabric_v2_only", room);
  if (!newest && wrong_version(info, 0x02000024)) return ARGUMENT_VERSION_MISMATCH;
  int status = fabric(gpu, info, 4);
  if (!status) status = at(info, 32, gpu_of(gpu), "fabric_health_mask");
  if (status || !newest) return status;
  return number(gpu_of(gpu), "fabric_health_summary", info + 36, 1);
}

EXPORT int nvmlDeviceGetConfComputeGpuCertificate(void *gpu, char *to) {
  ENTER;
  char room[256];
  const char *chain = value_of(gpu_of(gpu), "certificate_chain", room);
  if (!chain) return NOT_SUPPORTED;
  word length = garbage() ? UINT32_MAX : (word)strlen(chain);
  memcpy(to + 4, &length, 4);
  memset(to + 4104, 'x', garbage() ? 5120 : 0);
  memcpy(to + 4104, chain, strlen(chain));
  return SUCCESS;
}

/* The report of the stand-in: the nonce, backwards. */
EXPORT int nvmlDeviceGetConfComputeGpuAttestationReport(void *gpu, char *to) {
  ENTER;
  char room[256];
  if (!value_of(gpu_of(gpu), "report", room)) return NOT_SUPPORTED;
  word length = garbage() ? UINT32_MAX : 32;
  memcpy(to + 4, &length, 4);
  for (int i = 0; i < 32; i++) to[44 + i] = to[12 + 31 - i];
  return SUCCESS;
}
