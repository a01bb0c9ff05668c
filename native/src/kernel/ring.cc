#include "ring.h"

#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace vedette {

Failure Ring::Open(int fd, size_t bytes) {
  Close();
  page_ = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  bytes_ = bytes;
  void* consumer = mmap(nullptr, page_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (consumer == MAP_FAILED) return {"map_ring", errno, "", "the ring's consumer page"};
  // The kernel offers the data twice in a row so that no record wraps. We take it once and copy a
  // wrapping record in two parts: every mapped page counts as resident, 16 MiB for a usual ring.
  void* producer =
      mmap(nullptr, page_ + bytes_, PROT_READ, MAP_SHARED, fd, static_cast<off_t>(page_));
  if (producer == MAP_FAILED) {
    const int error = errno;
    munmap(consumer, page_);
    return {"map_ring", error, "", "the ring's data pages"};
  }
  consumer_ = static_cast<uint64_t*>(consumer);
  producer_ = static_cast<const uint64_t*>(producer);
  data_ = static_cast<const unsigned char*>(producer) + page_;
  return {};
}

void Ring::Close() {
  if (data_ == nullptr) return;
  munmap(consumer_, page_);
  munmap(const_cast<uint64_t*>(producer_), page_ + bytes_);
  consumer_ = nullptr;
  producer_ = nullptr;
  data_ = nullptr;
}

int64_t Ring::Read(unsigned char* buffer, size_t capacity) {
  const size_t mask = bytes_ - 1;
  size_t filled = 0;
  int64_t status = 0;
  // Only this thread writes the consumer's position.
  uint64_t at = __atomic_load_n(consumer_, __ATOMIC_RELAXED);
  const uint64_t start = at;
  const uint64_t end = __atomic_load_n(producer_, __ATOMIC_ACQUIRE);
  while (at < end) {
    const unsigned char* record = data_ + (at & mask);
    // Pairs with the producer's release: a header without the busy bit means a whole record.
    const uint32_t header =
        __atomic_load_n(reinterpret_cast<const uint32_t*>(record), __ATOMIC_ACQUIRE);
    if (header & BPF_RINGBUF_BUSY_BIT) break;
    const size_t length = header & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
    const size_t padded = (length + 7) & ~static_cast<size_t>(7);
    if (!(header & BPF_RINGBUF_DISCARD_BIT)) {
      if (padded > capacity - filled) {
        if (filled == 0) status = -ENOBUFS;
        break;
      }
      // The tail of the padding is whatever the ring held before; records are multiples of 8.
      const size_t offset = (at + BPF_RINGBUF_HDR_SZ) & mask;
      const size_t first = padded < bytes_ - offset ? padded : bytes_ - offset;
      memcpy(buffer + filled, data_ + offset, first);
      if (first < padded) memcpy(buffer + filled + first, data_, padded - first);
      filled += padded;
    }
    at += padded + BPF_RINGBUF_HDR_SZ;
  }
  // Gives the space back only after the copies are done.
  if (at != start) __atomic_store_n(consumer_, at, __ATOMIC_RELEASE);
  return filled > 0 ? static_cast<int64_t>(filled) : status;
}

uint64_t Ring::Pending() const {
  const uint64_t end = __atomic_load_n(producer_, __ATOMIC_ACQUIRE);
  return end - __atomic_load_n(consumer_, __ATOMIC_RELAXED);
}

}  // namespace vedette
