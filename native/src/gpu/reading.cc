#include "reading.h"

#include <dlfcn.h>
#include <link.h>

#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "evidence.h"
#include "session.h"

namespace vedette {
namespace {

// More than any machine holds. A library that says more is not believed, and not asked on.
constexpr unsigned kDevicesMax = 64;
constexpr unsigned kLinksMax = 36;
constexpr unsigned kMigDevicesMax = 16;

// Lengths that NVML's documentation gives for its buffers.
constexpr unsigned kVersionBytes = 80;
constexpr unsigned kNameBytes = 96;

void ReadSystem(NvmlSession* nvml) {
  nvml->Text(-1, "nvml_driver_version", "nvmlSystemGetDriverVersion", kVersionBytes);
  nvml->Text(-1, "nvml_version", "nvmlSystemGetNVMLVersion", kVersionBytes);
  nvml->Number(-1, "cuda_driver_version", "nvmlSystemGetCudaDriverVersion_v2");
  {
    unsigned char* info = nvml->Structure(0x01000054);
    const char* symbol = "nvmlSystemGetDriverBranch";
    const int32_t status = nvml->Call(symbol, static_cast<void*>(info), kVersionBytes);
    nvml->AddText(-1, "driver_branch", symbol, status, info + 4, kVersionBytes);
  }
  {
    unsigned char* caps = nvml->Structure(0);
    const char* symbol = "nvmlSystemGetConfComputeCapabilities";
    const int32_t status = nvml->Call(symbol, static_cast<void*>(caps));
    nvml->AddWord(-1, "conf_compute_cpu_caps", symbol, status, 0);
    nvml->AddWord(-1, "conf_compute_gpus_caps", symbol, status, 4);
  }
  nvml->Number(-1, "conf_compute_gpus_ready_state", "nvmlSystemGetConfComputeGpusReadyState");
}

// The newer call knows one thing more; the older one is there since branch 535.
void ReadConfCompute(NvmlSession* nvml) {
  unsigned char* settings = nvml->Structure(0x01000014);
  const char* symbol = "nvmlSystemGetConfComputeSettings";
  const int32_t newer = nvml->Call(symbol, static_cast<void*>(settings));
  nvml->AddWord(-1, "conf_compute_multi_gpu_mode", symbol, newer, 16);
  int32_t status = newer;
  size_t at = 4;
  if (newer != 0) {
    const char* older = "nvmlSystemGetConfComputeState";
    status = nvml->Call(older, static_cast<void*>(nvml->Structure(0)));
    // The older one's own refusal says more than that the newer one is not there.
    symbol = older;
    at = 0;
  }
  nvml->AddWord(-1, "conf_compute_environment", symbol, status, at);
  nvml->AddWord(-1, "conf_compute_feature", symbol, status, at + 4);
  nvml->AddWord(-1, "conf_compute_dev_tools_mode", symbol, status, at + 8);
}

void ReadIdentity(NvmlSession* nvml, int32_t device) {
  nvml->Text(device, "name", "nvmlDeviceGetName", kNameBytes);
  nvml->Text(device, "uuid", "nvmlDeviceGetUUID", kNameBytes);
  nvml->Text(device, "serial", "nvmlDeviceGetSerial", 30);
  nvml->Text(device, "board_part_number", "nvmlDeviceGetBoardPartNumber", 80);
  nvml->Number(device, "minor_number", "nvmlDeviceGetMinorNumber");
  nvml->Number(device, "architecture", "nvmlDeviceGetArchitecture");
  nvml->Number(device, "virtualization_mode", "nvmlDeviceGetVirtualizationMode");
  const char* symbol = "nvmlDeviceGetPciInfo_v3";
  const int32_t status =
      nvml->Call(symbol, nvml->Handle(device), static_cast<void*>(nvml->Structure(0)));
  nvml->AddText(device, "pci_bus_id", symbol, status, nvml->scratch() + 36, 32);
  nvml->AddWord(device, "pci_device_id", symbol, status, 28);
  nvml->AddWord(device, "pci_subsystem_id", symbol, status, 32);
}

void ReadFirmware(NvmlSession* nvml, int32_t device) {
  nvml->Text(device, "vbios_version", "nvmlDeviceGetVbiosVersion", 32);
  nvml->Text(device, "inforom_image_version", "nvmlDeviceGetInforomImageVersion", 16);
  constexpr const char* kObjects[] = {"inforom_oem_version", "inforom_ecc_version",
                                      "inforom_power_version"};
  const char* symbol = "nvmlDeviceGetInforomVersion";
  for (unsigned object = 0; object < 3; object++) {
    char* text = reinterpret_cast<char*>(nvml->Structure(0));
    const int32_t status = nvml->Call(symbol, nvml->Handle(device), object, text, 16u);
    nvml->AddText(device, kObjects[object], symbol, status, nvml->scratch(), 16);
  }
  nvml->Number(device, "inforom_configuration_checksum",
               "nvmlDeviceGetInforomConfigurationChecksum");
  if (nvml->slow()) {
    const char* validate = "nvmlDeviceValidateInforom";
    nvml->Add(device, "inforom_valid", validate, nvml->Call(validate, nvml->Handle(device)), "1");
  }
  char* version = reinterpret_cast<char*>(nvml->Structure(0));
  const char* gsp = "nvmlDeviceGetGspFirmwareVersion";
  const int32_t status = nvml->Call(gsp, nvml->Handle(device), version);
  nvml->AddText(device, "gsp_firmware_version", gsp, status, nvml->scratch(), 64);
  nvml->Pair(device, "gsp_firmware_mode", "gsp_firmware_default_mode",
             "nvmlDeviceGetGspFirmwareMode");
}

void ReadMigDevices(NvmlSession* nvml, int32_t device) {
  const char* symbol = "nvmlDeviceGetMigDeviceHandleByIndex";
  std::string list;
  int32_t status = 0;
  for (unsigned index = 0; index < kMigDevicesMax && status == 0; index++) {
    void* mig = nullptr;
    status = nvml->Call(symbol, nvml->Handle(device), index, &mig);
    if (status != 0) break;
    char* uuid = reinterpret_cast<char*>(nvml->Structure(0));
    if (nvml->Call("nvmlDeviceGetUUID", mig, uuid, kNameBytes) != 0) continue;
    list.append(list.empty() ? "" : ",").append(uuid, strnlen(uuid, kNameBytes));
  }
  // NOT_FOUND, INVALID_ARGUMENT: the end of the list.
  nvml->Add(device, "mig_devices", symbol, status == 6 || status == 2 ? 0 : status, list);
}

void ReadModes(NvmlSession* nvml, int32_t device) {
  nvml->Pair(device, "ecc_mode", "ecc_mode_pending", "nvmlDeviceGetEccMode");
  nvml->Number(device, "default_ecc_mode", "nvmlDeviceGetDefaultEccMode");
  nvml->Pair(device, "mig_mode", "mig_mode_pending", "nvmlDeviceGetMigMode");
  ReadMigDevices(nvml, device);
  nvml->Number(device, "persistence_mode", "nvmlDeviceGetPersistenceMode");
  nvml->Number(device, "compute_mode", "nvmlDeviceGetComputeMode");
  nvml->Number(device, "accounting_mode", "nvmlDeviceGetAccountingMode");
  nvml->Number(device, "power_management_limit_mw", "nvmlDeviceGetPowerManagementLimit");
  constexpr const char* kApis[] = {"api_restriction_set_application_clocks",
                                   "api_restriction_set_auto_boosted_clocks"};
  const char* symbol = "nvmlDeviceGetAPIRestriction";
  for (unsigned api = 0; api < 2; api++) {
    void* restricted = nvml->Structure(0);
    const int32_t status = nvml->Call(symbol, nvml->Handle(device), api, restricted);
    nvml->AddWord(device, kApis[api], symbol, status, 0);
  }
  unsigned char* now = nvml->Structure(0x01000008);
  unsigned char* later = now + 64;
  memcpy(later, now, 4);
  symbol = "nvmlDeviceGetDramEncryptionMode";
  const int32_t status = nvml->Call(symbol, nvml->Handle(device), static_cast<void*>(now),
                                    static_cast<void*>(later));
  nvml->AddWord(device, "dram_encryption_mode", symbol, status, 4);
  nvml->AddWord(device, "dram_encryption_mode_pending", symbol, status, 64 + 4);
}

void ReadMemoryHealth(NvmlSession* nvml, int32_t device) {
  unsigned char* at = nvml->Structure(0);
  const char* symbol = "nvmlDeviceGetRemappedRows";
  int32_t status = nvml->Call(symbol, nvml->Handle(device), static_cast<void*>(at),
                              static_cast<void*>(at + 64), static_cast<void*>(at + 128),
                              static_cast<void*>(at + 192));
  nvml->AddWord(device, "remapped_rows_correctable", symbol, status, 0);
  nvml->AddWord(device, "remapped_rows_uncorrectable", symbol, status, 64);
  nvml->AddWord(device, "remapped_rows_pending", symbol, status, 128);
  nvml->AddWord(device, "remapped_rows_failure", symbol, status, 192);
  nvml->Number(device, "retired_pages_pending", "nvmlDeviceGetRetiredPagesPendingStatus");
  symbol = "nvmlDeviceGetTotalEccErrors";
  void* count = nvml->Structure(0);
  // Uncorrected, since the GPU was made: the others change all the time.
  status = nvml->Call(symbol, nvml->Handle(device), 1u, 1u, count);
  nvml->AddLong(device, "total_ecc_errors_uncorrected", symbol, status, 0);
  symbol = "nvmlDeviceGetConfComputeMemSizeInfo";
  status = nvml->Call(symbol, nvml->Handle(device), static_cast<void*>(nvml->Structure(0)));
  nvml->AddLong(device, "conf_compute_protected_memory_kib", symbol, status, 0);
}

void ReadLinks(NvmlSession* nvml, int32_t device) {
  const char* symbol = "nvmlDeviceGetNvLinkState";
  std::string states;
  int32_t first = 0;
  for (unsigned link = 0; link < kLinksMax; link++) {
    void* state = nvml->Structure(0);
    const int32_t status = nvml->Call(symbol, nvml->Handle(device), link, state);
    if (link == 0) first = status;
    if (status != 0) break;
    states.push_back(nvml->Word(0) == 0 ? '0' : '1');
  }
  nvml->Add(device, "nvlink_states", symbol, first, states);
}

// The offset of `status` differs between the old structure and the versioned ones.
void AddFabric(NvmlSession* nvml, int32_t device, const char* symbol, int32_t status, size_t uuid) {
  nvml->AddHex(device, "fabric_cluster_uuid", symbol, status, uuid, 16);
  nvml->AddWord(device, "fabric_status", symbol, status, uuid + 16);
  nvml->AddWord(device, "fabric_clique_id", symbol, status, uuid + 20);
  const std::string state = std::to_string(nvml->scratch()[uuid + 24]);
  nvml->Add(device, "fabric_state", symbol, status, state);
}

void ReadFabric(NvmlSession* nvml, int32_t device) {
  constexpr int32_t kVersionMismatch = 25;
  const char* symbol = "nvmlDeviceGetGpuFabricInfoV";
  int32_t status = kVersionMismatch;
  uint32_t version = 0;
  for (const uint32_t one : {0x03000028u, 0x02000024u}) {
    if (status != kVersionMismatch) break;
    version = one;
    status = nvml->Call(symbol, nvml->Handle(device), static_cast<void*>(nvml->Structure(one)));
  }
  nvml->AddWord(device, "fabric_health_mask", symbol, status, 32);
  // Only the third version tells.
  const bool summary = version == 0x03000028u;
  nvml->Add(device, "fabric_health_summary", symbol, summary ? status : kVersionMismatch,
            std::to_string(nvml->scratch()[36]));
  if (status == kNvmlAbsent || status == kVersionMismatch) {
    symbol = "nvmlDeviceGetGpuFabricInfo";
    status = nvml->Call(symbol, nvml->Handle(device), static_cast<void*>(nvml->Structure(0)));
    AddFabric(nvml, device, symbol, status, 0);
  } else {
    AddFabric(nvml, device, symbol, status, 4);
  }
}

void ReadDevice(NvmlSession* nvml, int32_t device) {
  ReadIdentity(nvml, device);
  ReadFirmware(nvml, device);
  ReadModes(nvml, device);
  ReadMemoryHealth(nvml, device);
  ReadLinks(nvml, device);
  ReadFabric(nvml, device);
}

void ReadDevices(NvmlSession* nvml, bool evidence, const NvmlAsk& ask) {
  const char* symbol = nullptr;
  void* count = nvml->Structure(0);
  int32_t status = nvml->CallEither(
      {"nvmlDeviceGetCount_v2", "nvmlDeviceGetCount"}, &symbol, count);
  nvml->AddWord(-1, "device_count", symbol, status, 0);
  const unsigned said = status == 0 ? nvml->Word(0) : 0;
  for (unsigned i = 0; i < said && said <= kDevicesMax; i++) {
    const int32_t device = static_cast<int32_t>(i);
    void* handle = nullptr;
    status = nvml->CallEither(
        {"nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetHandleByIndex"}, &symbol, i, &handle);
    nvml->Add(device, "handle", symbol, status, "");
    if (status != 0) continue;
    nvml->SetHandle(handle);
    if (evidence) {
      ReadIdentity(nvml, device);
      ReadEvidence(nvml, device, ask.nonce);
    } else {
      ReadDevice(nvml, device);
    }
  }
}

std::string PathOf(void* library) {
  link_map* map = nullptr;
  if (dlinfo(library, RTLD_DI_LINKMAP, &map) != 0 || map == nullptr) return "";
  return map->l_name;
}

void ReadLibrary(NvmlReading* reading, void* library) {
  reading->library = PathOf(library);
  NvmlSession nvml(reading, library);
  const char* symbol = nullptr;
  const int32_t status = nvml.CallEither({"nvmlInit_v2", "nvmlInit"}, &symbol);
  if (status != 0) {
    reading->failed = symbol;
    reading->failed_status = status;
    return;
  }
  if (!reading->ask.evidence) {
    ReadSystem(&nvml);
    ReadConfCompute(&nvml);
  }
  ReadDevices(&nvml, reading->ask.evidence, reading->ask);
  // Until then the driver cannot be unloaded: nobody shall have to stop us for that.
  nvml.Call("nvmlShutdown");
}

}  // namespace

void ReadNvml(NvmlReading* reading) {
  void* library = dlopen(reading->ask.library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* why = dlerror();
    reading->failed = "dlopen";
    reading->detail = std::string(why == nullptr ? "" : why).substr(0, 1024);
  } else {
    ReadLibrary(reading, library);
    reading->calling = "dlclose";
    dlclose(library);
  }
  reading->done.store(true, std::memory_order_release);
}

}  // namespace vedette
