// Calls into an open NVML by name, and what they answered as facts.
#pragma once

#include <dlfcn.h>

#include <cstdio>
#include <cstring>
#include <initializer_list>

#include "reading.h"

namespace vedette {

class NvmlSession {
 public:
  NvmlSession(NvmlReading* reading, void* library) : reading_(reading), library_(library) {}

  bool slow() const { return reading_->ask.slow; }
  unsigned char* scratch() { return scratch_; }
  void* Handle(int32_t) const { return handle_; }
  void SetHandle(void* handle) { handle_ = handle; }

  // kNvmlAbsent, or what the function returns. Every symbol is optional.
  template <typename... Args>
  int32_t Call(const char* symbol, Args... args) {
    void* address = dlsym(library_, symbol);
    if (address == nullptr) return kNvmlAbsent;
    reading_->calling.store(symbol, std::memory_order_relaxed);
    return reinterpret_cast<int32_t (*)(Args...)>(address)(args...);
  }

  // The first of these that the library has; `called` is its name, or the first one.
  template <typename... Args>
  int32_t CallEither(std::initializer_list<const char*> symbols, const char** called,
                     Args... args) {
    *called = *symbols.begin();
    for (const char* symbol : symbols) {
      const int32_t status = Call(symbol, args...);
      if (status == kNvmlAbsent) continue;
      *called = symbol;
      return status;
    }
    return kNvmlAbsent;
  }

  // Room for any structure or text, all zero but its version (0: it has none). There is more of it
  // than any call was promised, for libraries that write more than they were allowed.
  unsigned char* Structure(uint32_t version) {
    memset(scratch_, 0, sizeof scratch_);
    if (version != 0) memcpy(scratch_, &version, sizeof version);
    return scratch_;
  }

  uint32_t Word(size_t at) const {
    uint32_t value;
    memcpy(&value, scratch_ + at, sizeof value);
    return value;
  }

  void Add(int32_t device, const char* item, const char* symbol, int32_t status,
           std::string value) {
    if (status != 0) value.clear();
    reading_->facts.push_back({device, item, symbol, status, std::move(value)});
  }

  // The text may lack its end.
  void AddText(int32_t device, const char* item, const char* symbol, int32_t status,
               const unsigned char* text, size_t bytes_max) {
    const char* start = reinterpret_cast<const char*>(text);
    Add(device, item, symbol, status, std::string(start, strnlen(start, bytes_max)));
  }

  void AddWord(int32_t device, const char* item, const char* symbol, int32_t status, size_t at) {
    Add(device, item, symbol, status, std::to_string(Word(at)));
  }

  void AddLong(int32_t device, const char* item, const char* symbol, int32_t status, size_t at) {
    uint64_t value;
    memcpy(&value, scratch_ + at, sizeof value);
    Add(device, item, symbol, status, std::to_string(value));
  }

  void AddHex(int32_t device, const char* item, const char* symbol, int32_t status, size_t at,
              size_t bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (size_t i = 0; status == 0 && i < bytes; i++) {
      text.push_back(kDigits[scratch_[at + i] >> 4]);
      text.push_back(kDigits[scratch_[at + i] & 15]);
    }
    Add(device, item, symbol, status, text);
  }

  // f(device, char*, length), or f(char*, length) of the node.
  void Text(int32_t device, const char* item, const char* symbol, unsigned bytes) {
    char* text = reinterpret_cast<char*>(Structure(0));
    const int32_t status =
        device < 0 ? Call(symbol, text, bytes) : Call(symbol, handle_, text, bytes);
    AddText(device, item, symbol, status, scratch_, bytes);
  }

  // f(device, unsigned*), or f(unsigned*) of the node.
  void Number(int32_t device, const char* item, const char* symbol) {
    void* number = Structure(0);
    const int32_t status = device < 0 ? Call(symbol, number) : Call(symbol, handle_, number);
    AddWord(device, item, symbol, status, 0);
  }

  // f(device, unsigned*, unsigned*): what is in force, and what will be or was meant to be.
  void Pair(int32_t device, const char* first, const char* second, const char* symbol) {
    unsigned char* numbers = Structure(0);
    const int32_t status = Call(symbol, handle_, static_cast<void*>(numbers),
                                static_cast<void*>(numbers + 64));
    AddWord(device, first, symbol, status, 0);
    AddWord(device, second, symbol, status, 64);
  }

 private:
  NvmlReading* reading_;
  void* library_;
  void* handle_ = nullptr;
  // The largest structure has 12,332 bytes.
  alignas(16) unsigned char scratch_[32768];
};

}  // namespace vedette
