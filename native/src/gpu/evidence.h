// Attestation evidence of a GPU: its certificates and its report, as it gives them.
#pragma once

#include <algorithm>

#include "session.h"

namespace vedette {

inline void ReadEvidence(NvmlSession* nvml, int32_t device,
                         const std::array<unsigned char, 32>& nonce) {
  // nvmlConfComputeGpuCertificate_t: two sizes, then 4,096 and 5,120 bytes.
  const char* symbol = "nvmlDeviceGetConfComputeGpuCertificate";
  int32_t status =
      nvml->Call(symbol, nvml->Handle(device), static_cast<void*>(nvml->Structure(0)));
  const uint32_t chain_bytes = std::min(nvml->Word(4), 5120u);
  nvml->AddText(device, "attestation_certificate_chain", symbol, status, nvml->scratch() + 4104,
                chain_bytes);
  // nvmlConfComputeGpuAttestationReport_t: the nonce at 12 goes in, the report at 44 comes out.
  symbol = "nvmlDeviceGetConfComputeGpuAttestationReport";
  unsigned char* report = nvml->Structure(0);
  memcpy(report + 12, nonce.data(), nonce.size());
  status = nvml->Call(symbol, nvml->Handle(device), static_cast<void*>(report));
  nvml->AddHex(device, "attestation_report", symbol, status, 44, std::min(nvml->Word(4), 8192u));
}

}  // namespace vedette
