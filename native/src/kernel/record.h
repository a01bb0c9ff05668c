// The generated record layouts, with the type names they use.
#pragma once

#include <cstdint>

namespace vedette {

using u8 = uint8_t;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;
using s8 = int8_t;
using s16 = int16_t;
using s32 = int32_t;
using s64 = int64_t;
#define _Static_assert static_assert
#include "events.h"
#undef _Static_assert

// Value of the map `counters`: one per kind and CPU.
struct Counter {
  u64 produced;
  u64 lost;
  u64 over_quota;
};

}  // namespace vedette
