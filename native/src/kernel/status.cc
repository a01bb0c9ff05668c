#include "status.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>

#include <cctype>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "record.h"

namespace vedette {
namespace {

// All values of a per-CPU array: entries × CPUs × value bytes. Empty on failure.
std::vector<unsigned char> ReadPerCpu(int fd, uint32_t entries, size_t value_bytes, size_t cpus,
                                      Failure* failure) {
  std::vector<unsigned char> values(entries * cpus * value_bytes);
  std::vector<uint32_t> keys(entries);
  uint32_t count = entries;
  uint32_t next = 0;
  const int status =
      bpf_map_lookup_batch(fd, nullptr, &next, keys.data(), values.data(), &count, nullptr);
  // -ENOENT: the end of the map was reached, which is what we want.
  if ((status == 0 || status == -ENOENT) && count == entries) return values;
  // Kernels before 5.13 have no batches for per-CPU arrays.
  for (uint32_t key = 0; key < entries; key++) {
    const int one = bpf_map_lookup_elem(fd, &key, values.data() + key * cpus * value_bytes);
    if (one == 0) continue;
    *failure = {"read_map", -one, "", "a per-CPU array of counters"};
    return {};
  }
  return values;
}

// Names of the enumerators of `enum fault`, by value; empty where there is none.
std::vector<std::string> FaultNames(const btf* types, uint32_t entries) {
  std::vector<std::string> names(entries);
  constexpr std::string_view prefix = "FAULT_";
  const int id = btf__find_by_name_kind(types, "fault", BTF_KIND_ENUM);
  if (id < 0) return names;
  const btf_type* type = btf__type_by_id(types, static_cast<uint32_t>(id));
  const struct btf_enum* values = btf_enum(type);
  for (int i = 0; i < btf_vlen(type); i++) {
    const uint32_t value = static_cast<uint32_t>(values[i].val);
    std::string_view name = btf__name_by_offset(types, values[i].name_off);
    if (value >= entries) continue;
    if (name.substr(0, prefix.size()) == prefix) name.remove_prefix(prefix.size());
    for (const char c : name) {
      names[value].push_back(static_cast<char>(tolower(static_cast<unsigned char>(c))));
    }
  }
  return names;
}

// Runs that the kernel skipped, because the program was interrupted by an event of its own kind on
// the same CPU. 0 where the kernel does not count them (before 5.12). Also of programs that came
// later, for a module.
uint64_t MissedRuns(Loader& loader) {
  uint64_t missed = 0;
  for (const Loader::Program& entry : loader.programs()) {
    const int fd = bpf_program__fd(entry.program);
    bpf_prog_info info = {};
    uint32_t bytes = sizeof info;
    if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &bytes) != 0) continue;
    missed += info.recursion_misses;
  }
  return missed;
}

// Size of the array, or 0 and a failure when there is none or its value is not what we read.
uint32_t ArrayEntries(const Loader& loader, const char* name, size_t value_bytes,
                      Failure* failure) {
  bpf_map* map = bpf_object__find_map_by_name(loader.object(), name);
  if (map != nullptr && bpf_map__value_size(map) == value_bytes) return bpf_map__max_entries(map);
  *failure = {"read_map", ENOENT, "", std::string("no usable map ") + name};
  return 0;
}

}  // namespace

std::vector<KindCount> ReadCounters(const Loader& loader, Failure* failure) {
  std::vector<KindCount> counts;
  const uint32_t entries = ArrayEntries(loader, "counters", sizeof(Counter), failure);
  const size_t cpus = static_cast<size_t>(libbpf_num_possible_cpus());
  if (entries == 0) return counts;
  const auto values = ReadPerCpu(loader.MapFd("counters"), entries, sizeof(Counter), cpus, failure);
  if (values.empty()) return counts;
  for (uint32_t kind = 0; kind < entries; kind++) {
    KindCount sum = {kind, 0, 0, 0};
    for (size_t cpu = 0; cpu < cpus; cpu++) {
      Counter one;
      memcpy(&one, values.data() + (kind * cpus + cpu) * sizeof one, sizeof one);
      sum.produced += one.produced;
      sum.lost += one.lost;
      sum.over_quota += one.over_quota;
    }
    if (sum.produced != 0 || sum.lost != 0) counts.push_back(sum);
  }
  return counts;
}

std::vector<FaultCount> ReadFaults(Loader& loader, Failure* failure) {
  std::vector<FaultCount> faults;
  const uint32_t entries = ArrayEntries(loader, "faults", sizeof(uint64_t), failure);
  const size_t cpus = static_cast<size_t>(libbpf_num_possible_cpus());
  if (entries == 0) return faults;
  const auto values = ReadPerCpu(loader.MapFd("faults"), entries, sizeof(uint64_t), cpus, failure);
  if (values.empty()) return faults;
  const auto names = FaultNames(bpf_object__btf(loader.object()), entries);
  for (uint32_t fault = 0; fault < entries; fault++) {
    uint64_t sum = 0;
    for (size_t cpu = 0; cpu < cpus; cpu++) {
      uint64_t one;
      memcpy(&one, values.data() + (fault * cpus + cpu) * sizeof one, sizeof one);
      sum += one;
    }
    if (!names[fault].empty()) {
      faults.push_back({names[fault], sum});
    } else if (sum != 0) {
      faults.push_back({"fault_" + std::to_string(fault), sum});
    }
  }
  faults.push_back({"runs_missed", MissedRuns(loader)});
  return faults;
}

std::vector<ProgramStat> ReadProgramStats(Loader& loader) {
  std::vector<ProgramStat> stats;
  for (const Loader::Program& entry : loader.programs()) {
    bpf_prog_info info = {};
    uint32_t bytes = sizeof info;
    if (bpf_obj_get_info_by_fd(bpf_program__fd(entry.program), &info, &bytes) != 0) continue;
    stats.push_back({bpf_program__name(entry.program), info.id, info.run_cnt, info.run_time_ns});
  }
  return stats;
}

uint64_t ReadMapBytes(const Loader& loader) {
  uint64_t sum = 0;
  for (const auto& [name, map] : loader.maps()) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", bpf_map__fd(map));
    FILE* file = fopen(path, "re");
    if (file == nullptr) continue;
    char line[128];
    uint64_t bytes = 0;
    while (fgets(line, sizeof line, file) != nullptr) {
      if (sscanf(line, "memlock: %" SCNu64, &bytes) == 1) sum += bytes;
    }
    fclose(file);
  }
  return sum;
}

}  // namespace vedette
