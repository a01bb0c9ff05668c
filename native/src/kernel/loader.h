// The embedded BPF object: opened, sized, loaded, attached, closed. No Node in here.
#pragma once

#include <bpf/libbpf.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "failure.h"
#include "iterator.h"

namespace vedette {

struct LoadOptions {
  std::vector<std::string> programs;
  uint32_t ring_bytes = 0;
  uint32_t socket_sets = 0;
  uint32_t flows_max = 0;
  // The cgroup v2 folder that cgroup programs are attached to; empty: they are refused.
  std::string cgroup_dir;
  // The `const volatile` variables of the probes, by name; cut to the width of the variable.
  std::vector<std::pair<std::string, uint64_t>> settings;
};

struct ProgramName {
  std::string name;
  std::string section;
};

// The embedded bytes, opened but not loaded: needs no privilege. Null on failure.
bpf_object* OpenEmbedded(Failure* failure);

// All programs of the embedded object.
std::vector<ProgramName> ListPrograms(Failure* failure);

class Loader {
 public:
  struct Program {
    bpf_program* program;
    bpf_link* link;
    Iterator iterator;
  };

  Loader() = default;
  ~Loader() { Close(); }
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // Loads the named programs, and makes the maps that they use. On failure everything is closed
  // again.
  Failure Load(const LoadOptions& options);
  // Loads more programs, which share the maps and settings of those loaded before. On failure
  // everything is as it was.
  Failure Extend(const std::vector<std::string>& names) { return Extend(names, {}); }
  Failure Attach(const std::string& name);
  void Detach(const std::string& name);
  void Close();

  bool loaded() const { return object_ != nullptr; }
  bpf_object* object() const { return object_; }
  std::vector<Program>& programs() { return programs_; }
  // A loaded program; null when there is none of that name.
  Program* Find(const std::string& name);
  // Sets an entry of a map, or removes it when `value` is null; the sizes must be those of the map.
  // A map that no program uses yet is made.
  Failure SetEntry(const std::string& map, const void* key, size_t key_bytes, const void* value,
                   size_t value_bytes);
  // The maps that were made, by name. They stay until everything is closed.
  const std::map<std::string, bpf_map*>& maps() const { return maps_; }
  // File descriptor of a map; -1 when there is none of that name, or nobody uses it.
  int MapFd(const std::string& name) const;
  // Name of the map that an iterator of maps walks: `flows_iter` walks `flows`. Empty for others.
  static std::string WalkedMap(const bpf_program* program);

 private:
  Failure Prepare(const LoadOptions& options);
  Failure Extend(const std::vector<std::string>& names, std::set<std::string> maps);
  Failure SetSizes(bpf_object* object) const;
  // Of an object that is not loaded yet: shares the maps there are, leaves out those not used.
  Failure ChooseMaps(bpf_object* object, const std::set<std::string>& used) const;
  void KeepMaps(bpf_object* object);
  bpf_link* AttachCgroup(bpf_program* program) const;

  bpf_object* object_ = nullptr;
  // Of Extend: the same object once more, with the maps of the first.
  std::vector<bpf_object*> extensions_;
  std::string cgroup_dir_;
  std::vector<Program> programs_;
  // Entries of the maps whose size is a setting.
  std::map<std::string, uint32_t> sizes_;
  std::map<std::string, bpf_map*> maps_;
};

}  // namespace vedette
