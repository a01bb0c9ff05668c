// A BPF iterator: a program that the kernel runs once for every task or socket when it is read.
#pragma once

#include <bpf/libbpf.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace vedette {

class Iterator {
 public:
  // Reads whole records until the buffer is full or the run is over; 0 when it is over. Returns
  // -errno on failure, -ENOBUFS when a record is longer than the buffer. Starts on the first call.
  int64_t Read(bpf_program* program, unsigned char* buffer, size_t capacity);
  void Close();

 private:
  enum class State { kFresh, kRunning, kOver };

  int Start(bpf_program* program);

  State state_ = State::kFresh;
  bpf_link* link_ = nullptr;
  int fd_ = -1;
  // Start of a record that the kernel cut at the end of the buffer.
  std::vector<unsigned char> rest_;
};

}  // namespace vedette
