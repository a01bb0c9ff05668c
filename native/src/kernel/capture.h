// What libbpf says while one call runs, kept for the failure that may follow.
#pragma once

#include <string>

namespace vedette {

// Collects libbpf's warnings on this thread as long as it lives. At most one per thread at a time.
class Capture {
 public:
  Capture();
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  // The last kTailBytes of the text, from the start of a line.
  std::string Tail() const;
  // Name of the program that the last warning with a program spoke of; empty when none did.
  const std::string& Program() const { return program_; }

  void Append(const char* text, size_t bytes);

  static constexpr size_t kTailBytes = 4096;

 private:
  std::string text_;
  std::string program_;
};

}  // namespace vedette
