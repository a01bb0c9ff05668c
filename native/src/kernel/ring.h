// Our own consumer of the BPF ring buffer: copies whole records into the caller's buffer.
// No epoll and no wake-ups: whoever wants records asks.
#pragma once

#include <cstddef>
#include <cstdint>

#include "failure.h"

namespace vedette {

class Ring {
 public:
  Ring() = default;
  ~Ring() { Close(); }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // Maps the ring of `fd` into memory. `bytes` is its size: a power of two, whole pages.
  Failure Open(int fd, size_t bytes);
  void Close();

  // Copies records, back to back, each padded to 8 bytes, until the buffer is full, the ring is
  // empty or the next record is still being written. Returns the bytes filled, or -ENOBUFS when
  // the next record is longer than the whole buffer. Never blocks.
  int64_t Read(unsigned char* buffer, size_t capacity);

  // Bytes between the consumer and the producers, the ring's own headers included.
  uint64_t Pending() const;

  bool open() const { return data_ != nullptr; }

 private:
  uint64_t* consumer_ = nullptr;         // own page, read and write
  const uint64_t* producer_ = nullptr;   // own page, read only
  const unsigned char* data_ = nullptr;  // read only, once
  size_t page_ = 0;
  size_t bytes_ = 0;
};

}  // namespace vedette
