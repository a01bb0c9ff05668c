#include "object.h"

#include <pthread.h>
#include <signal.h>

#include <cerrno>
#include <cstring>

namespace vedette {
namespace {

// The bytes of a driver are whatever they are: one character each, never refused.
Napi::Value Bytes(Napi::Env env, const std::string& text) {
  napi_value value = nullptr;
  napi_create_string_latin1(env, text.data(), text.size(), &value);
  return Napi::Value(env, value);
}

void* Run(void* argument) {
  const std::unique_ptr<std::shared_ptr<NvmlReading>> reading(
      static_cast<std::shared_ptr<NvmlReading>*>(argument));
  ReadNvml(reading->get());
  return nullptr;
}

// 0 or an errno. The thread takes no signals: they are for Node's own.
int StartThread(const std::shared_ptr<NvmlReading>& reading) {
  auto* argument = new std::shared_ptr<NvmlReading>(reading);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const int error = pthread_create(&thread, &attributes, Run, argument);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (error != 0) delete argument;
  return error;
}

// [library, slow, nonce or undefined], as gpu.ts promises.
bool AskArguments(const Napi::CallbackInfo& info, NvmlAsk* ask) {
  if (!info[0].IsString() || !info[1].IsBoolean()) return false;
  ask->library = info[0].As<Napi::String>().Utf8Value();
  ask->slow = info[1].As<Napi::Boolean>().Value();
  if (info[2].IsUndefined()) return true;
  if (!info[2].IsTypedArray()) return false;
  const Napi::Uint8Array nonce = info[2].As<Napi::Uint8Array>();
  if (nonce.ByteLength() != ask->nonce.size() || nonce.Data() == nullptr) return false;
  memcpy(ask->nonce.data(), nonce.Data(), ask->nonce.size());
  ask->evidence = true;
  return true;
}

Napi::Value FactOf(Napi::Env env, const NvmlFact& fact) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("device", fact.device);
  object.Set("item", fact.item);
  object.Set("symbol", fact.symbol);
  object.Set("status", fact.status);
  object.Set("value", Bytes(env, fact.value));
  return object;
}

}  // namespace

Napi::Function Nvml::Define(Napi::Env env) {
  return DefineClass(env, "Nvml",
                     {
                         InstanceMethod<&Nvml::Begin>("begin"),
                         InstanceMethod<&Nvml::Take>("take"),
                         InstanceMethod<&Nvml::Calling>("calling"),
                     });
}

Nvml::Nvml(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Nvml>(info) {}

// 0 or a negative errno: EBUSY while the last reading was not taken.
Napi::Value Nvml::Begin(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (reading_) return Napi::Number::New(env, -EBUSY);
  auto reading = std::make_shared<NvmlReading>();
  if (!AskArguments(info, &reading->ask)) return Napi::Number::New(env, -EINVAL);
  const int error = StartThread(reading);
  if (error == 0) reading_ = std::move(reading);
  return Napi::Number::New(env, -error);
}

// The reading that ended; undefined when none did.
Napi::Value Nvml::Take(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!reading_ || !reading_->done.load(std::memory_order_acquire)) return env.Undefined();
  const std::shared_ptr<NvmlReading> reading = std::move(reading_);
  Napi::Object object = Napi::Object::New(env);
  object.Set("failed", reading->failed);
  object.Set("failed_status", reading->failed_status);
  object.Set("detail", Bytes(env, reading->detail));
  object.Set("library", Bytes(env, reading->library));
  Napi::Array facts = Napi::Array::New(env, reading->facts.size());
  for (uint32_t i = 0; i < reading->facts.size(); i++) {
    facts.Set(i, FactOf(env, reading->facts[i]));
  }
  object.Set("facts", facts);
  return object;
}

Napi::Value Nvml::Calling(const Napi::CallbackInfo& info) {
  const char* symbol = reading_ ? reading_->calling.load(std::memory_order_relaxed) : "";
  return Napi::String::New(info.Env(), symbol);
}

}  // namespace vedette
