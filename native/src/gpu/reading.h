// One reading of NVML, from opening the library to closing it. Runs on a thread of its own: any
// call may hang for as long as the driver likes. No header of NVIDIA is used: what is called and
// what it fills is declared here, by NVML's documented interface (sizes by version, offsets).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

namespace vedette {

// The status of a call whose symbol this library does not have.
constexpr int32_t kNvmlAbsent = -1;

// One answer. `item` and `symbol` are literals.
struct NvmlFact {
  // Index of the GPU; -1 for the whole node.
  int32_t device;
  const char* item;
  const char* symbol;
  // nvmlReturn_t, or kNvmlAbsent.
  int32_t status;
  // Bytes as the library gave them, numbers in decimal; empty unless status is 0.
  std::string value;
};

struct NvmlAsk {
  // Name or path for dlopen().
  std::string library;
  // With what reads the flash of the GPU (nvmlDeviceValidateInforom).
  bool slow = false;
  // Attestation evidence instead of the state, for this nonce.
  bool evidence = false;
  std::array<unsigned char, 32> nonce = {};
};

// Shared by the thread that reads and the object that asks, whoever lives longer.
struct NvmlReading {
  NvmlAsk ask;
  // Literal: what is called now.
  std::atomic<const char*> calling{"dlopen"};
  // What follows is written by the reading thread until `done`, and read after it.
  std::atomic<bool> done{false};
  // What ended the reading before any device was asked; empty when nothing.
  std::string failed;
  int32_t failed_status = 0;
  std::string detail;
  // File that was mapped.
  std::string library;
  std::vector<NvmlFact> facts;
};

// Reads everything and sets `done`. Never throws.
void ReadNvml(NvmlReading* reading);

}  // namespace vedette
