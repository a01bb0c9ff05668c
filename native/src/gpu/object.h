// The JavaScript class over NVML: at most one reading at a time, on a thread of its own, pulled.
#pragma once

#include <napi.h>

#include <memory>

#include "reading.h"

namespace vedette {

// Belongs to its environment. A reading that hangs outlives it: nothing can end that thread, so
// what it uses is shared with it, and it calls nothing of Node.
class Nvml : public Napi::ObjectWrap<Nvml> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit Nvml(const Napi::CallbackInfo& info);

 private:
  Napi::Value Begin(const Napi::CallbackInfo& info);
  Napi::Value Take(const Napi::CallbackInfo& info);
  Napi::Value Calling(const Napi::CallbackInfo& info);

  std::shared_ptr<NvmlReading> reading_;
};

}  // namespace vedette
