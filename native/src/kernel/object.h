// The JavaScript class over Loader, Ring and status: checks, converts, decides nothing.
#pragma once

#include <napi.h>

#include "loader.h"
#include "ring.h"

namespace vedette {

Napi::Value ToValue(Napi::Env env, const Failure& failure);

// One loaded object. Belongs to its environment: closed by close(), by the garbage collector, or
// when the environment (a worker thread) goes away.
class KernelObject : public Napi::ObjectWrap<KernelObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit KernelObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value Load(const Napi::CallbackInfo& info);
  Napi::Value Extend(const Napi::CallbackInfo& info);
  Napi::Value Attach(const Napi::CallbackInfo& info);
  void Detach(const Napi::CallbackInfo& info);
  Napi::Value ReadRing(const Napi::CallbackInfo& info);
  Napi::Value ReadIterator(const Napi::CallbackInfo& info);
  Napi::Value Counters(const Napi::CallbackInfo& info);
  Napi::Value Faults(const Napi::CallbackInfo& info);
  Napi::Value RingPending(const Napi::CallbackInfo& info);
  Napi::Value ProgramStats(const Napi::CallbackInfo& info);
  Napi::Value SetEntry(const Napi::CallbackInfo& info);
  Napi::Value MapBytes(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  Loader loader_;
  // Declared last, so unmapped before the map is closed.
  Ring ring_;
};

}  // namespace vedette
