// What the kernel counted: records per kind, failures, run time of programs, memory of maps.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "loader.h"

namespace vedette {

struct KindCount {
  uint32_t kind;
  uint64_t produced;
  uint64_t lost;
  // Part of `lost`.
  uint64_t over_quota;
};

struct FaultCount {
  std::string name;
  uint64_t count;
};

struct ProgramStat {
  std::string name;
  uint32_t id;
  uint64_t run_count;
  uint64_t run_time_ns;
};

// Sums over the CPUs; kinds with nothing counted are left out.
std::vector<KindCount> ReadCounters(const Loader& loader, Failure* failure);
// Names come from the object's own `enum fault` (FAULT_NAME gives "name").
std::vector<FaultCount> ReadFaults(Loader& loader, Failure* failure);
// Run counts and times are 0 until someone switched the kernel's statistics on.
std::vector<ProgramStat> ReadProgramStats(Loader& loader);
// Bytes of all maps as the kernel accounts them.
uint64_t ReadMapBytes(const Loader& loader);

}  // namespace vedette
