// Which maps the programs of a BPF object refer to. libbpf makes all maps of an object, used or
// not; most nodes have no use for most of ours.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace vedette {

class MapUse {
 public:
  // Reads the symbols and relocations of a linked object: ELF of 64 bits, little-endian.
  MapUse(const unsigned char* elf, size_t bytes);

  // Adds the names of the maps that this program and all functions it calls refer to. False when
  // the object has no function of this name.
  bool Add(const std::string& program, std::set<std::string>* maps) const;

 private:
  struct Function {
    std::string name;
    size_t section;
    // Bytes of its section.
    uint64_t from;
    uint64_t to;
    std::set<std::string> maps;
    std::set<size_t> calls;
  };

  // Index of the function at an offset of a section; the number of functions when there is none.
  size_t FunctionAt(size_t section, uint64_t offset) const;
  void AddCalls(size_t section, const unsigned char* code, uint64_t bytes,
                const std::set<uint64_t>& relocated);

  std::vector<Function> functions_;
};

}  // namespace vedette
