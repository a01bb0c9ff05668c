// A refusal of the kernel or of libbpf, as a fact. Whoever gets it decides.
#pragma once

#include <string>

namespace vedette {

struct Failure {
  // What was tried: "open", "configure", "load", "attach", …; empty means that nothing failed.
  std::string operation;
  // Positive errno.
  int error = 0;
  // Program that it was about; empty when it was about the whole object.
  std::string program;
  // End of what libbpf and the verifier said, or our own words.
  std::string detail;

  bool ok() const { return operation.empty(); }
};

}  // namespace vedette
