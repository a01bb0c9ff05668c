// A BPF iterator: a program that the kernel runs once for every task, socket or entry of a map when
// it is read.
#pragma once

#include <bpf/libbpf.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace vedette {

// Null and errno when it is refused. `map_fd` is the map that it walks; -1: something else.
bpf_link* AttachIterator(bpf_program* program, int map_fd);

class Iterator {
 public:
  // Reads whole records until the buffer is full or the run is over; 0 when it is over. Returns
  // -errno on failure, -ENOBUFS when a record is longer than the buffer. The first call, and the
  // one after the 0, start a run. `map_fd` is the map that it walks; -1 when it walks no map.
  int64_t Read(bpf_program* program, int map_fd, unsigned char* buffer, size_t capacity);
  void Close();

 private:
  // kOver: everything was handed out, and the 0 that says so was not.
  enum class State { kFresh, kRunning, kOver };

  int Start(bpf_program* program, int map_fd);
  void EndRun(State next);

  State state_ = State::kFresh;
  bpf_link* link_ = nullptr;
  int fd_ = -1;
  // Start of a record that the kernel cut at the end of the buffer.
  std::vector<unsigned char> rest_;
};

}  // namespace vedette
