#include "engine/simd/functions.h"

namespace cortland::engine::simd {

namespace baseline {
extern const Functions kFunctions;
}
#ifdef CORTLAND_SIMD_X86
namespace avx2 {
extern const Functions kFunctions;
}
namespace avx512 {
extern const Functions kFunctions;
}
#endif

Sets all_functions() {
  Sets all{{&baseline::kFunctions}, 1};
#ifdef CORTLAND_SIMD_X86
  // Every processor with AVX2 and FMA has F16C, which clang 14 cannot ask for.
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return all;
  all.sets[all.count++] = &avx2::kFunctions;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    all.sets[all.count++] = &avx512::kFunctions;
#endif
  return all;
}

const Functions& functions() {
  static const Functions& best = []() -> const Functions& {
    const Sets all = all_functions();
    return *all.sets[all.count - 1];
  }();
  return best;
}

}  // namespace cortland::engine::simd
