// The complete native surface. Everything else is behind these exports.

#include <bpf/bpf.h>
#include <malloc.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <set>

#include "gpu/object.h"
#include "kernel/object.h"

namespace vedette {
namespace {

// Per environment: file descriptors that keep the kernel's run-time statistics on.
struct Instance {
  std::set<int> stats;
  ~Instance() {
    for (const int fd : stats) close(fd);
  }
};

Napi::Value Programs(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Failure failure;
  const auto names = ListPrograms(&failure);
  if (!failure.ok()) return ToValue(env, failure);
  Napi::Array list = Napi::Array::New(env, names.size());
  for (uint32_t i = 0; i < names.size(); i++) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("name", names[i].name);
    object.Set("section", names[i].section);
    list.Set(i, object);
  }
  return list;
}

// A descriptor, or a negative errno. The statistics are on as long as one is open.
Napi::Value EnableStats(const Napi::CallbackInfo& info) {
  const int fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
  if (fd >= 0) info.Env().GetInstanceData<Instance>()->stats.insert(fd);
  return Napi::Number::New(info.Env(), fd);
}

void DisableStats(const Napi::CallbackInfo& info) {
  const int fd = info[0].IsNumber() ? info[0].As<Napi::Number>().Int32Value() : -1;
  if (info.Env().GetInstanceData<Instance>()->stats.erase(fd) == 1) close(fd);
}

int64_t NanosecondsOf(clockid_t clock) {
  timespec at = {};
  clock_gettime(clock, &at);
  return at.tv_sec * INT64_C(1000000000) + at.tv_nsec;
}

// One moment on both clocks: [since boot, since 1970], nanoseconds as BigInt.
Napi::Value Clocks(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const int64_t before = NanosecondsOf(CLOCK_BOOTTIME);
  const int64_t wall = NanosecondsOf(CLOCK_REALTIME);
  const int64_t after = NanosecondsOf(CLOCK_BOOTTIME);
  Napi::Array pair = Napi::Array::New(env, 2);
  pair.Set(uint32_t{0}, Napi::BigInt::New(env, before + (after - before) / 2));
  pair.Set(uint32_t{1}, Napi::BigInt::New(env, wall));
  return pair;
}

#ifdef VEDETTE_SANITIZE
// So that sanitize.ts can see that a leak would be found.
void Leak(const Napi::CallbackInfo&) {
  volatile char* lost = new char[123];
  lost[0] = 1;
}
#endif

// From this size on malloc maps memory of its own and gives it back at once.
constexpr int kMapBytes = 64 * 1024;

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  // Batches and compression contexts come and go by the hundred kilobytes. Left to itself, glibc
  // learns to keep such sizes in its heap, where they stay resident: 50 MiB of an agent under load.
  mallopt(M_MMAP_THRESHOLD, kMapBytes);
  env.SetInstanceData(new Instance());
  exports.Set("KernelObject", KernelObject::Define(env));
  exports.Set("Nvml", Nvml::Define(env));
  exports.Set("clocks", Napi::Function::New<Clocks>(env, "clocks"));
  exports.Set("programs", Napi::Function::New<Programs>(env, "programs"));
  exports.Set("enableStats", Napi::Function::New<EnableStats>(env, "enableStats"));
  exports.Set("disableStats", Napi::Function::New<DisableStats>(env, "disableStats"));
  exports.Set("libbpfVersion", libbpf_version_string());
#ifdef VEDETTE_SANITIZE
  exports.Set("leak", Napi::Function::New<Leak>(env, "leak"));
#endif
  return exports;
}

}  // namespace
}  // namespace vedette

static Napi::Object VedetteInit(Napi::Env env, Napi::Object exports) {
  return vedette::Init(env, exports);
}
NODE_API_MODULE(vedette, VedetteInit)
