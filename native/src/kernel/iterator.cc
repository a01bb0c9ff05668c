#include "iterator.h"

#include <bpf/bpf.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "capture.h"
#include "record.h"

namespace vedette {
namespace {

// Bytes of the whole records at the start of `bytes`; -EPROTO when a header makes no sense.
int64_t WholeRecords(const unsigned char* buffer, size_t bytes) {
  size_t at = 0;
  while (bytes - at >= sizeof(record_header)) {
    record_header header;
    memcpy(&header, buffer + at, sizeof header);
    if (header.size < sizeof header || header.size % 8 != 0) return -EPROTO;
    if (header.size > bytes - at) break;
    at += header.size;
  }
  return static_cast<int64_t>(at);
}

}  // namespace

bpf_link* AttachIterator(bpf_program* program, int map_fd) {
  LIBBPF_OPTS(bpf_iter_attach_opts, options);
  bpf_iter_link_info info = {};
  if (map_fd >= 0) {
    info.map.map_fd = static_cast<uint32_t>(map_fd);
    options.link_info = &info;
    options.link_info_len = sizeof info;
  }
  return bpf_program__attach_iter(program, &options);
}

int Iterator::Start(bpf_program* program, int map_fd) {
  Capture keeps_libbpf_off_stderr;
  if (link_ == nullptr) link_ = AttachIterator(program, map_fd);
  if (link_ == nullptr) return -errno;
  fd_ = bpf_iter_create(bpf_link__fd(link_));
  if (fd_ < 0) return fd_;
  state_ = State::kRunning;
  return 0;
}

int64_t Iterator::Read(bpf_program* program, int map_fd, unsigned char* buffer, size_t capacity) {
  if (state_ == State::kOver) {
    state_ = State::kFresh;
    return 0;
  }
  if (state_ == State::kFresh) {
    const int status = Start(program, map_fd);
    if (status != 0) {
      Close();
      return status;
    }
  }
  if (rest_.size() >= capacity) return -ENOBUFS;
  if (!rest_.empty()) memcpy(buffer, rest_.data(), rest_.size());
  size_t filled = rest_.size();
  rest_.clear();
  bool over = false;
  while (!over && filled < capacity) {
    const ssize_t bytes = read(fd_, buffer + filled, capacity - filled);
    if (bytes > 0) {
      filled += static_cast<size_t>(bytes);
    } else if (bytes == 0) {
      over = true;
    } else if (errno != EAGAIN && errno != EINTR) {
      // EAGAIN: the kernel has looked at a million objects in a row and wants a breath.
      const int error = errno;
      Close();
      return -error;
    }
  }
  const int64_t whole = WholeRecords(buffer, filled);
  if (whole < 0) {
    Close();
    return whole;
  }
  if (over) EndRun(whole > 0 ? State::kOver : State::kFresh);
  if (!over) rest_.assign(buffer + whole, buffer + filled);
  if (whole == 0 && !over) return -ENOBUFS;
  return whole;
}

// The link stays for the next run.
void Iterator::EndRun(State next) {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  rest_.clear();
  state_ = next;
}

void Iterator::Close() {
  EndRun(State::kFresh);
  if (link_ != nullptr) bpf_link__destroy(link_);
  link_ = nullptr;
}

}  // namespace vedette
