// The embedded BPF object: opened, sized, loaded, attached, closed. No Node in here.
#pragma once

#include <bpf/libbpf.h>

#include <cstdint>
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

  // Creates the maps and loads the named programs. On failure everything is closed again.
  Failure Load(const LoadOptions& options);
  // Loads more programs, which share the maps and settings of those loaded before. On failure
  // everything is as it was.
  Failure Extend(const std::vector<std::string>& names);
  Failure Attach(const std::string& name);
  void Detach(const std::string& name);
  void Close();

  bool loaded() const { return object_ != nullptr; }
  bpf_object* object() const { return object_; }
  std::vector<Program>& programs() { return programs_; }
  // A loaded program; null when there is none of that name.
  Program* Find(const std::string& name);
  // Sets an entry of a map, or removes it when `value` is null; the sizes must be those of the map.
  Failure SetEntry(const std::string& map, const void* key, size_t key_bytes, const void* value,
                   size_t value_bytes) const;
  // File descriptor of a map; -1 when there is none of that name.
  int MapFd(const char* name) const;
  // The map that an iterator of maps walks, by its name: `flows_iter` walks `flows`. -1 for others.
  int WalkedMapFd(const bpf_program* program) const;

 private:
  Failure Prepare(const LoadOptions& options);
  Failure ShareMaps(bpf_object* extension) const;
  bpf_link* AttachCgroup(bpf_program* program) const;

  bpf_object* object_ = nullptr;
  // Of Extend: the same object once more, with the maps of the first.
  std::vector<bpf_object*> extensions_;
  std::string cgroup_dir_;
  std::vector<Program> programs_;
};

}  // namespace vedette
