#include "object.h"

#include <cerrno>

#include "status.h"

namespace vedette {
namespace {

struct Bytes {
  unsigned char* data = nullptr;
  size_t size = 0;
};

// The caller's buffer; empty when it is no ArrayBuffer, detached, odd-sized or misaligned.
Bytes BufferArgument(const Napi::Value& value) {
  if (!value.IsArrayBuffer()) return {};
  Napi::ArrayBuffer buffer = value.As<Napi::ArrayBuffer>();
  auto* data = static_cast<unsigned char*>(buffer.Data());
  const size_t size = buffer.ByteLength();
  if (data == nullptr || size % 8 != 0 || reinterpret_cast<uintptr_t>(data) % 8 != 0) return {};
  return {data, size};
}

// Settings as [name, value, name, value, …].
bool SettingsArgument(const Napi::Array& list, LoadOptions* options) {
  for (uint32_t i = 0; i + 1 < list.Length(); i += 2) {
    const Napi::Value name = list.Get(i);
    const Napi::Value value = list.Get(i + 1);
    bool lossless = false;
    if (!name.IsString() || !value.IsBigInt()) return false;
    const uint64_t number = value.As<Napi::BigInt>().Uint64Value(&lossless);
    if (!lossless) return false;
    options->settings.emplace_back(name.As<Napi::String>().Utf8Value(), number);
  }
  return true;
}

bool NamesArgument(const Napi::Array& list, std::vector<std::string>* names) {
  for (uint32_t i = 0; i < list.Length(); i++) {
    const Napi::Value name = list.Get(i);
    if (!name.IsString()) return false;
    names->push_back(name.As<Napi::String>().Utf8Value());
  }
  return true;
}

// False when an argument is not what index.ts promises.
bool LoadArguments(const Napi::CallbackInfo& info, LoadOptions* options) {
  if (!info[0].IsArray() || !info[1].IsNumber() || !info[2].IsNumber() || !info[3].IsArray() ||
      !info[4].IsNumber() || !info[5].IsString()) {
    return false;
  }
  if (!NamesArgument(info[0].As<Napi::Array>(), &options->programs)) return false;
  options->ring_bytes = info[1].As<Napi::Number>().Uint32Value();
  options->socket_sets = info[2].As<Napi::Number>().Uint32Value();
  options->flows_max = info[4].As<Napi::Number>().Uint32Value();
  options->cgroup_dir = info[5].As<Napi::String>().Utf8Value();
  return SettingsArgument(info[3].As<Napi::Array>(), options);
}

std::string NameArgument(const Napi::CallbackInfo& info) {
  return info[0].IsString() ? info[0].As<Napi::String>().Utf8Value() : std::string();
}

Napi::Value Number(Napi::Env env, uint64_t value) {
  return Napi::Number::New(env, static_cast<double>(value));
}

}  // namespace

Napi::Value ToValue(Napi::Env env, const Failure& failure) {
  if (failure.ok()) return env.Undefined();
  Napi::Object object = Napi::Object::New(env);
  object.Set("operation", failure.operation);
  object.Set("errno", failure.error);
  if (!failure.program.empty()) object.Set("program", failure.program);
  object.Set("detail", failure.detail);
  return object;
}

Napi::Function KernelObject::Define(Napi::Env env) {
  return DefineClass(env, "KernelObject",
                     {
                         InstanceMethod<&KernelObject::Load>("load"),
                         InstanceMethod<&KernelObject::Extend>("extend"),
                         InstanceMethod<&KernelObject::Attach>("attach"),
                         InstanceMethod<&KernelObject::Detach>("detach"),
                         InstanceMethod<&KernelObject::ReadRing>("readRing"),
                         InstanceMethod<&KernelObject::ReadIterator>("readIterator"),
                         InstanceMethod<&KernelObject::Counters>("counters"),
                         InstanceMethod<&KernelObject::Faults>("faults"),
                         InstanceMethod<&KernelObject::RingPending>("ringPending"),
                         InstanceMethod<&KernelObject::ProgramStats>("programStats"),
                         InstanceMethod<&KernelObject::SetEntry>("setEntry"),
                         InstanceMethod<&KernelObject::MapBytes>("mapBytes"),
                         InstanceMethod<&KernelObject::Close>("close"),
                     });
}

KernelObject::KernelObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<KernelObject>(info) {}

Napi::Value KernelObject::Load(const Napi::CallbackInfo& info) {
  LoadOptions options;
  if (!LoadArguments(info, &options)) {
    return ToValue(info.Env(), {"load", EINVAL, "", "wrong arguments"});
  }
  Failure failure = loader_.Load(options);
  if (failure.ok()) {
    failure = ring_.Open(loader_.MapFd("ring"), options.ring_bytes);
    if (!failure.ok()) loader_.Close();
  }
  return ToValue(info.Env(), failure);
}

Napi::Value KernelObject::Extend(const Napi::CallbackInfo& info) {
  std::vector<std::string> names;
  if (!info[0].IsArray() || !NamesArgument(info[0].As<Napi::Array>(), &names)) {
    return ToValue(info.Env(), {"load", EINVAL, "", "wrong arguments"});
  }
  return ToValue(info.Env(), loader_.Extend(names));
}

Napi::Value KernelObject::Attach(const Napi::CallbackInfo& info) {
  return ToValue(info.Env(), loader_.Attach(NameArgument(info)));
}

void KernelObject::Detach(const Napi::CallbackInfo& info) { loader_.Detach(NameArgument(info)); }

// Bytes filled, or a negative errno: one number, since this is the hot path.
Napi::Value KernelObject::ReadRing(const Napi::CallbackInfo& info) {
  const Bytes buffer = BufferArgument(info[0]);
  int64_t result = -EINVAL;
  if (!ring_.open()) {
    result = -EBADF;
  } else if (buffer.size > 0) {
    result = ring_.Read(buffer.data, buffer.size);
  }
  return Napi::Number::New(info.Env(), static_cast<double>(result));
}

Napi::Value KernelObject::ReadIterator(const Napi::CallbackInfo& info) {
  const std::string name = NameArgument(info);
  const Bytes buffer = BufferArgument(info[1]);
  Loader::Program* entry = loader_.Find(name);
  int64_t result = -EINVAL;
  if (!loader_.loaded()) {
    result = -EBADF;
  } else if (entry == nullptr) {
    result = -ENOENT;
  } else if (buffer.size > 0) {
    const std::string walked = Loader::WalkedMap(entry->program);
    const int map_fd = walked.empty() ? -1 : loader_.MapFd(walked);
    // A map that nobody fills was not made.
    result = !walked.empty() && map_fd < 0
                 ? 0
                 : entry->iterator.Read(entry->program, map_fd, buffer.data, buffer.size);
  }
  return Napi::Number::New(info.Env(), static_cast<double>(result));
}

Napi::Value KernelObject::Counters(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Failure failure;
  if (!loader_.loaded()) return ToValue(env, {"read_map", EBADF, "", "the object is closed"});
  const auto counts = ReadCounters(loader_, &failure);
  if (!failure.ok()) return ToValue(env, failure);
  Napi::Array list = Napi::Array::New(env, counts.size());
  for (uint32_t i = 0; i < counts.size(); i++) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("kind", counts[i].kind);
    object.Set("produced", Number(env, counts[i].produced));
    object.Set("lost", Number(env, counts[i].lost));
    object.Set("over_quota", Number(env, counts[i].over_quota));
    list.Set(i, object);
  }
  return list;
}

Napi::Value KernelObject::Faults(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Failure failure;
  if (!loader_.loaded()) return ToValue(env, {"read_map", EBADF, "", "the object is closed"});
  const auto faults = ReadFaults(loader_, &failure);
  if (!failure.ok()) return ToValue(env, failure);
  Napi::Array list = Napi::Array::New(env, faults.size());
  for (uint32_t i = 0; i < faults.size(); i++) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("name", faults[i].name);
    object.Set("count", Number(env, faults[i].count));
    list.Set(i, object);
  }
  return list;
}

Napi::Value KernelObject::RingPending(const Napi::CallbackInfo& info) {
  if (!ring_.open()) return Napi::Number::New(info.Env(), -EBADF);
  return Number(info.Env(), ring_.Pending());
}

Napi::Value KernelObject::ProgramStats(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto stats = ReadProgramStats(loader_);
  Napi::Array list = Napi::Array::New(env, stats.size());
  for (uint32_t i = 0; i < stats.size(); i++) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("name", stats[i].name);
    object.Set("id", stats[i].id);
    object.Set("run_count", Number(env, stats[i].run_count));
    object.Set("run_time_ns", Number(env, stats[i].run_time_ns));
    list.Set(i, object);
  }
  return list;
}

Napi::Value KernelObject::SetEntry(const Napi::CallbackInfo& info) {
  const bool removes = info[2].IsUndefined();
  if (!info[1].IsTypedArray() || !(removes || info[2].IsTypedArray())) {
    return ToValue(info.Env(), {"set_entry", EINVAL, "", "wrong arguments"});
  }
  const auto key = info[1].As<Napi::Uint8Array>();
  if (removes) {
    return ToValue(info.Env(), loader_.SetEntry(NameArgument(info), key.Data(), key.ByteLength(),
                                                nullptr, 0));
  }
  const auto value = info[2].As<Napi::Uint8Array>();
  return ToValue(info.Env(), loader_.SetEntry(NameArgument(info), key.Data(), key.ByteLength(),
                                              value.Data(), value.ByteLength()));
}

Napi::Value KernelObject::MapBytes(const Napi::CallbackInfo& info) {
  return Number(info.Env(), ReadMapBytes(loader_));
}

void KernelObject::Close(const Napi::CallbackInfo&) {
  ring_.Close();
  loader_.Close();
}

}  // namespace vedette
