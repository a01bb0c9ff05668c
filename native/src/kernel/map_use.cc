#include "map_use.h"

#include <elf.h>
#include <linux/bpf.h>

#include <cstring>
#include <string_view>

namespace vedette {
namespace {

// The embedded bytes lie anywhere: copied out, not cast.
template <typename T>
T At(const unsigned char* bytes, uint64_t offset) {
  T value;
  memcpy(&value, bytes + offset, sizeof value);
  return value;
}

// A call of another function of the object, which the linker has resolved or has yet to.
bool IsCall(const bpf_insn& insn) {
  return insn.code == (BPF_JMP | BPF_CALL) && insn.src_reg == BPF_PSEUDO_CALL;
}

// The function that an instruction names beside a symbol: a call counts instructions from the next
// one, an address counts bytes.
uint64_t Target(const bpf_insn& insn, uint64_t symbol) {
  const int64_t beside =
      IsCall(insn) ? (int64_t{insn.imm} + 1) * int64_t{sizeof insn} : int64_t{insn.imm};
  return symbol + static_cast<uint64_t>(beside);
}

}  // namespace

MapUse::MapUse(const unsigned char* elf, size_t bytes) {
  const auto header = At<Elf64_Ehdr>(elf, 0);
  std::vector<Elf64_Shdr> sections(header.e_shnum);
  for (size_t i = 0; i < sections.size(); i++) {
    const uint64_t offset = header.e_shoff + i * sizeof(Elf64_Shdr);
    if (offset + sizeof(Elf64_Shdr) > bytes) return;
    sections[i] = At<Elf64_Shdr>(elf, offset);
  }
  const auto text = [&](const Elf64_Shdr& strings, uint32_t offset) {
    return std::string_view(reinterpret_cast<const char*>(elf + strings.sh_offset + offset));
  };
  std::vector<Elf64_Sym> symbols;
  size_t names = 0;
  size_t maps = 0;
  for (size_t i = 0; i < sections.size(); i++) {
    if (text(sections[header.e_shstrndx], sections[i].sh_name) == ".maps") maps = i;
    if (sections[i].sh_type != SHT_SYMTAB) continue;
    names = sections[i].sh_link;
    for (uint64_t at = 0; at < sections[i].sh_size; at += sizeof(Elf64_Sym)) {
      symbols.push_back(At<Elf64_Sym>(elf, sections[i].sh_offset + at));
    }
  }
  for (const Elf64_Sym& symbol : symbols) {
    if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx == SHN_UNDEF) continue;
    functions_.push_back({std::string(text(sections[names], symbol.st_name)), symbol.st_shndx,
                          symbol.st_value, symbol.st_value + symbol.st_size, {}, {}});
  }
  std::vector<std::set<uint64_t>> relocated(sections.size());
  for (size_t i = 0; i < sections.size(); i++) {
    if (sections[i].sh_type != SHT_REL) continue;
    const size_t code = sections[i].sh_info;
    for (uint64_t at = 0; at < sections[i].sh_size; at += sizeof(Elf64_Rel)) {
      const auto relocation = At<Elf64_Rel>(elf, sections[i].sh_offset + at);
      relocated[code].insert(relocation.r_offset);
      const size_t from = FunctionAt(code, relocation.r_offset);
      const uint32_t to = ELF64_R_SYM(relocation.r_info);
      if (from == functions_.size() || to >= symbols.size()) continue;
      const Elf64_Sym& symbol = symbols[to];
      if (symbol.st_shndx == maps) {
        functions_[from].maps.emplace(text(sections[names], symbol.st_name));
        continue;
      }
      const auto insn = At<bpf_insn>(elf, sections[code].sh_offset + relocation.r_offset);
      const size_t called = FunctionAt(symbol.st_shndx, Target(insn, symbol.st_value));
      if (called != functions_.size()) functions_[from].calls.insert(called);
    }
  }
  for (size_t i = 0; i < sections.size(); i++) {
    if ((sections[i].sh_flags & SHF_EXECINSTR) == 0) continue;
    AddCalls(i, elf + sections[i].sh_offset, sections[i].sh_size, relocated[i]);
  }
}

bool MapUse::Add(const std::string& program, std::set<std::string>* maps) const {
  std::vector<size_t> open;
  std::vector<bool> seen(functions_.size());
  for (size_t i = 0; i < functions_.size(); i++) {
    if (functions_[i].name == program) open.push_back(i);
  }
  if (open.empty()) return false;
  while (!open.empty()) {
    const size_t at = open.back();
    open.pop_back();
    if (seen[at]) continue;
    seen[at] = true;
    maps->insert(functions_[at].maps.begin(), functions_[at].maps.end());
    open.insert(open.end(), functions_[at].calls.begin(), functions_[at].calls.end());
  }
  return true;
}

size_t MapUse::FunctionAt(size_t section, uint64_t offset) const {
  for (size_t i = 0; i < functions_.size(); i++) {
    const Function& one = functions_[i];
    if (one.section == section && offset >= one.from && offset < one.to) return i;
  }
  return functions_.size();
}

// Calls inside a section that the compiler has resolved.
void MapUse::AddCalls(size_t section, const unsigned char* code, uint64_t bytes,
                      const std::set<uint64_t>& relocated) {
  for (uint64_t at = 0; at + sizeof(bpf_insn) <= bytes; at += sizeof(bpf_insn)) {
    const auto insn = At<bpf_insn>(code, at);
    if (!IsCall(insn) || relocated.count(at) != 0) continue;
    const size_t from = FunctionAt(section, at);
    const size_t called = FunctionAt(section, Target(insn, at));
    if (from != functions_.size() && called != functions_.size()) {
      functions_[from].calls.insert(called);
    }
  }
}

}  // namespace vedette
