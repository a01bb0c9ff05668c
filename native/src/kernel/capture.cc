#include "capture.h"

#include <bpf/libbpf.h>

#include <cstdarg>
#include <cstdio>
#include <mutex>
#include <string_view>

namespace vedette {
namespace {

// libbpf has one print function per process, but calls it on the thread of the caller: worker
// threads with their own instance of the addon do not mix.
thread_local Capture* active = nullptr;

int Print(enum libbpf_print_level level, const char* format, va_list arguments) {
  if (active == nullptr || level != LIBBPF_WARN) return 0;
  char line[1024];
  va_list again;
  va_copy(again, arguments);
  const int bytes = vsnprintf(line, sizeof line, format, arguments);
  if (bytes > 0 && static_cast<size_t>(bytes) < sizeof line) {
    active->Append(line, static_cast<size_t>(bytes));
  } else if (bytes > 0) {
    // A verifier log: up to 16 MiB, of which the end says why.
    std::string text(static_cast<size_t>(bytes) + 1, '\0');
    vsnprintf(text.data(), text.size(), format, again);
    active->Append(text.data(), static_cast<size_t>(bytes));
  }
  va_end(again);
  return 0;
}

}  // namespace

Capture::Capture() {
  static std::once_flag once;
  std::call_once(once, [] { libbpf_set_print(Print); });
  active = this;
}

Capture::~Capture() { active = nullptr; }

void Capture::Append(const char* text, size_t bytes) {
  const std::string_view view(text, bytes);
  constexpr std::string_view mark = "prog '";
  if (const size_t at = view.find(mark); at != std::string_view::npos) {
    const size_t start = at + mark.size();
    const size_t end = view.find('\'', start);
    if (end != std::string_view::npos) program_ = view.substr(start, end - start);
  }
  text_.append(view.size() > kTailBytes ? view.substr(view.size() - kTailBytes) : view);
  if (text_.size() > 2 * kTailBytes) text_.erase(0, text_.size() - kTailBytes);
}

std::string Capture::Tail() const {
  if (text_.size() <= kTailBytes) return text_;
  const size_t cut = text_.size() - kTailBytes;
  const size_t line = text_.find('\n', cut);
  return text_.substr(line == std::string::npos ? cut : line + 1);
}

}  // namespace vedette
