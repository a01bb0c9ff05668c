#include "loader.h"

#include <bpf/btf.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "capture.h"
#include "map_use.h"

// embedded.S: the linked object, as the build made it.
extern "C" const unsigned char vedette_bpf_start[];
extern "C" const unsigned char vedette_bpf_end[];

namespace vedette {
namespace {

Failure Refused(const char* operation, int error, const Capture& capture) {
  return {operation, error, capture.Program(), capture.Tail()};
}

Failure Missing(const std::string& what) {
  return {"configure", ENOENT, "", "the BPF object has no " + what};
}

// Where a `const volatile` setting lies in the read-only data, by the object's own BTF.
bool FindSetting(const btf* types, std::string_view name, uint32_t* offset, uint32_t* bytes) {
  const int id = btf__find_by_name_kind(types, ".rodata", BTF_KIND_DATASEC);
  if (id < 0) return false;
  const btf_type* section = btf__type_by_id(types, static_cast<uint32_t>(id));
  const btf_var_secinfo* variables = btf_var_secinfos(section);
  for (int i = 0; i < btf_vlen(section); i++) {
    const btf_type* variable = btf__type_by_id(types, variables[i].type);
    if (name != btf__name_by_offset(types, variable->name_off)) continue;
    *offset = variables[i].offset;
    *bytes = variables[i].size;
    return true;
  }
  return false;
}

Failure SetSetting(bpf_object* object, const char* name, uint64_t value) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    if (std::string_view(bpf_map__name(map)).find(".rodata") != std::string_view::npos) break;
  }
  uint32_t offset = 0;
  uint32_t bytes = 0;
  if (map == nullptr || !FindSetting(bpf_object__btf(object), name, &offset, &bytes)) {
    return Missing(std::string("setting ") + name);
  }
  size_t size = 0;
  auto* data = static_cast<unsigned char*>(
      const_cast<void*>(static_cast<const void*>(bpf_map__initial_value(map, &size))));
  if (data == nullptr || bytes > sizeof value || offset + bytes > size) {
    return Missing(std::string("usable setting ") + name);
  }
  // Little-endian only, as all of Vedette: the low bytes come first.
  memcpy(data + offset, &value, bytes);
  return {};
}

// Sections of programs that belong to a cgroup: "cgroup_skb/egress", "cgroup/sock_create".
bool IsOfCgroup(const bpf_program* program) {
  constexpr std::string_view prefix = "cgroup";
  return std::string_view(bpf_program__section_name(program)).substr(0, prefix.size()) == prefix;
}

// Adds the maps that these programs use, and those that are read from here whatever runs. Not the
// map that an iterator walks: when nobody else uses it, there is nothing in it.
Failure AddUsedMaps(const std::vector<Loader::Program>& programs, std::set<std::string>* used) {
  static const MapUse use(vedette_bpf_start,
                          static_cast<size_t>(vedette_bpf_end - vedette_bpf_start));
  used->insert({"ring", "counters", "faults"});
  for (const Loader::Program& one : programs) {
    const char* name = bpf_program__name(one.program);
    if (!use.Add(name, used)) return Missing(std::string("function ") + name);
  }
  return {};
}

// Only these programs of the object will be loaded; they are added to `chosen`.
Failure Choose(bpf_object* object, const std::vector<std::string>& names,
               std::vector<Loader::Program>* chosen) {
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object) bpf_program__set_autoload(program, false);
  for (const std::string& name : names) {
    program = bpf_object__find_program_by_name(object, name.c_str());
    if (program == nullptr) {
      return {"load", ENOENT, name, "the BPF object has no program of this name"};
    }
    bpf_program__set_autoload(program, true);
    chosen->push_back({program, nullptr, {}});
  }
  return {};
}

// The verifier gives up with EAGAIN when a signal waits for the thread, and libbpf tries only five
// times: under a profiler, which signals a thousand times a second, nothing would ever load.
class SignalsHeld {
 public:
  SignalsHeld() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before_);
  }
  ~SignalsHeld() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;

 private:
  sigset_t before_;
};

}  // namespace

bpf_object* OpenEmbedded(Failure* failure) {
  Capture capture;
  LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "vedette");
  const size_t bytes = static_cast<size_t>(vedette_bpf_end - vedette_bpf_start);
  bpf_object* object = bpf_object__open_mem(vedette_bpf_start, bytes, &options);
  if (object == nullptr) *failure = Refused("open", errno, capture);
  return object;
}

std::vector<ProgramName> ListPrograms(Failure* failure) {
  std::vector<ProgramName> names;
  bpf_object* object = OpenEmbedded(failure);
  if (object == nullptr) return names;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object) {
    names.push_back({bpf_program__name(program), bpf_program__section_name(program)});
  }
  bpf_object__close(object);
  return names;
}

Failure Loader::Prepare(const LoadOptions& options) {
  if (Failure f = Choose(object_, options.programs, &programs_); !f.ok()) return f;
  sizes_ = {{"ring", options.ring_bytes}, {"sockets", options.socket_sets},
            {"flows", options.flows_max}};
  if (Failure f = SetSizes(object_); !f.ok()) return f;
  std::set<std::string> used;
  if (Failure f = AddUsedMaps(programs_, &used); !f.ok()) return f;
  if (Failure f = ChooseMaps(object_, used); !f.ok()) return f;
  cgroup_dir_ = options.cgroup_dir;
  for (const auto& [setting, value] : options.settings) {
    if (Failure f = SetSetting(object_, setting.c_str(), value); !f.ok()) return f;
  }
  return {};
}

Failure Loader::Load(const LoadOptions& options) {
  if (loaded()) return {"load", EALREADY, "", "this object is already loaded"};
  Failure failure;
  object_ = OpenEmbedded(&failure);
  if (object_ == nullptr) return failure;
  failure = Prepare(options);
  if (failure.ok()) {
    Capture capture;
    const SignalsHeld held;
    const int status = bpf_object__load(object_);
    if (status != 0) failure = Refused("load", -status, capture);
  }
  if (failure.ok()) KeepMaps(object_);
  if (!failure.ok()) Close();
  // libbpf parsed the kernel's types (several MB) and freed them: give the pages back.
  malloc_trim(0);
  return failure;
}

Failure Loader::SetSizes(bpf_object* object) const {
  for (const auto& [name, entries] : sizes_) {
    bpf_map* map = bpf_object__find_map_by_name(object, name.c_str());
    if (map == nullptr) return Missing("map " + name);
    const int status = bpf_map__set_max_entries(map, entries);
    if (status != 0) return {"configure", -status, "", "map " + name + ": size refused"};
  }
  return {};
}

Failure Loader::ChooseMaps(bpf_object* object, const std::set<std::string>& used) const {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    const char* name = bpf_map__name(map);
    const auto own = maps_.find(name);
    int status = 0;
    if (own != maps_.end()) {
      status = bpf_map__reuse_fd(map, bpf_map__fd(own->second));
    } else if (!bpf_map__is_internal(map)) {
      status = bpf_map__set_autocreate(map, used.count(name) != 0);
    }
    if (status == 0) continue;
    return {"configure", -status, "", std::string("map ") + name + ": not shared or left out"};
  }
  return {};
}

void Loader::KeepMaps(bpf_object* object) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    if (bpf_map__fd(map) >= 0) maps_.try_emplace(bpf_map__name(map), map);
  }
}

Failure Loader::Extend(const std::vector<std::string>& names, std::set<std::string> maps) {
  if (!loaded()) return {"load", EBADF, "", "there is nothing to extend"};
  Failure failure;
  bpf_object* extension = OpenEmbedded(&failure);
  if (extension == nullptr) return failure;
  std::vector<Program> chosen;
  failure = Choose(extension, names, &chosen);
  if (failure.ok()) failure = AddUsedMaps(chosen, &maps);
  if (failure.ok()) failure = SetSizes(extension);
  if (failure.ok()) failure = ChooseMaps(extension, maps);
  if (failure.ok()) {
    Capture capture;
    const SignalsHeld held;
    const int status = bpf_object__load(extension);
    if (status != 0) failure = Refused("load", -status, capture);
  }
  if (failure.ok()) {
    extensions_.push_back(extension);
    KeepMaps(extension);
    for (const Program& program : chosen) programs_.push_back(program);
  } else {
    bpf_object__close(extension);
  }
  malloc_trim(0);
  return failure;
}

// Beside the programs of others there; the kernel takes it away with our process. Null and errno.
bpf_link* Loader::AttachCgroup(bpf_program* program) const {
  const int fd = open(cgroup_dir_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return nullptr;
  bpf_link* link = bpf_program__attach_cgroup(program, fd);
  const int error = errno;
  close(fd);
  errno = error;
  return link;
}

Failure Loader::Attach(const std::string& name) {
  Program* entry = Find(name);
  if (entry == nullptr) return {"attach", ENOENT, name, "not among the loaded programs"};
  if (entry->link != nullptr) return {};
  const std::string walked = WalkedMap(entry->program);
  if (!walked.empty() && MapFd(walked) < 0) {
    if (Failure failure = Extend({}, {walked}); !failure.ok()) return failure;
  }
  Capture capture;
  if (IsOfCgroup(entry->program)) {
    entry->link = AttachCgroup(entry->program);
  } else if (!walked.empty()) {
    entry->link = AttachIterator(entry->program, MapFd(walked));
  } else {
    entry->link = bpf_program__attach(entry->program);
  }
  if (entry->link != nullptr) return {};
  Failure failure = Refused("attach", errno, capture);
  failure.program = name;
  return failure;
}

void Loader::Detach(const std::string& name) {
  Program* entry = Find(name);
  if (entry == nullptr) return;
  entry->iterator.Close();
  if (entry->link == nullptr) return;
  bpf_link__destroy(entry->link);
  entry->link = nullptr;
}

void Loader::Close() {
  for (Program& entry : programs_) {
    entry.iterator.Close();
    if (entry.link != nullptr) bpf_link__destroy(entry.link);
  }
  programs_.clear();
  for (bpf_object* extension : extensions_) bpf_object__close(extension);
  extensions_.clear();
  maps_.clear();
  if (object_ != nullptr) bpf_object__close(object_);
  object_ = nullptr;
}

Loader::Program* Loader::Find(const std::string& name) {
  for (Program& entry : programs_) {
    if (name == bpf_program__name(entry.program)) return &entry;
  }
  return nullptr;
}

Failure Loader::SetEntry(const std::string& name, const void* key, size_t key_bytes,
                         const void* value, size_t value_bytes) {
  if (!loaded() || bpf_object__find_map_by_name(object_, name.c_str()) == nullptr) {
    return {"set_entry", ENOENT, "", "the BPF object has no map " + name};
  }
  if (maps_.count(name) == 0) {
    if (value == nullptr) return {};
    if (Failure failure = Extend({}, {name}); !failure.ok()) return failure;
  }
  const bpf_map* map = maps_.at(name);
  const int status = value == nullptr
                         ? bpf_map__delete_elem(map, key, key_bytes, 0)
                         : bpf_map__update_elem(map, key, key_bytes, value, value_bytes, BPF_ANY);
  if (status == 0 || (value == nullptr && status == -ENOENT)) return {};
  return {"set_entry", -status, "", "map " + name};
}

int Loader::MapFd(const std::string& name) const {
  const auto found = maps_.find(name);
  return found == maps_.end() ? -1 : bpf_map__fd(found->second);
}

std::string Loader::WalkedMap(const bpf_program* program) {
  constexpr std::string_view suffix = "_iter";
  const std::string_view name = bpf_program__name(program);
  const std::string_view section = bpf_program__section_name(program);
  if (section != "iter/bpf_map_elem" || name.size() <= suffix.size()) return {};
  return std::string(name.substr(0, name.size() - suffix.size()));
}

}  // namespace vedette
