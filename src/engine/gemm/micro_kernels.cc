#include "engine/gemm/micro_kernels.h"

#include <vector>

#include "engine/gemm/panel_templates.h"

namespace cortland::engine::gemm {
namespace {

using Lanes4 = float __attribute__((vector_size(16)));

void multiply_any(const PanelProduct& p) { multiply_panel<Lanes4, 6>(p); }
void dots_any(const float* x, const float* y, int64_t y_row, int64_t count, int64_t width, float* out) {
  dots_of_rows<Lanes4>(x, y, y_row, count, width, out);
}
void decode_int8_any(const CodedPanel& p, int64_t first, int64_t depth, float* to) {
  decode_int8_panel(p, first, depth, to);
}
void decode_table_any(const CodedPanel& p, int64_t first, int64_t depth, float* to) {
  decode_table_panel(p, first, depth, to);
}

constexpr MicroKernels kAny{"any", multiply_any, dots_any, decode_int8_any, decode_table_any, nullptr, nullptr, nullptr};

#if defined(__x86_64__)
using Lanes8 = float __attribute__((vector_size(32)));

__attribute__((target("avx2,fma"))) void multiply_avx2(const PanelProduct& p) { multiply_panel<Lanes8, 6>(p); }
__attribute__((target("avx2,fma"))) void dots_avx2(const float* x, const float* y, int64_t y_row, int64_t count,
                                                   int64_t width, float* out) {
  dots_of_rows<Lanes8>(x, y, y_row, count, width, out);
}
__attribute__((target("avx2,fma"))) void decode_int8_avx2(const CodedPanel& p, int64_t first, int64_t depth, float* to) {
  decode_int8_panel(p, first, depth, to);
}
__attribute__((target("avx2,fma"))) void decode_table_avx2(const CodedPanel& p, int64_t first, int64_t depth, float* to) {
  decode_table_panel(p, first, depth, to);
}

constexpr MicroKernels kAvx2{"avx2",  multiply_avx2, dots_avx2, decode_int8_avx2, decode_table_avx2,
                             nullptr, nullptr,       nullptr};
#endif

std::vector<MicroKernels> supported() {
  std::vector<MicroKernels> all;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
    all.push_back(kAvx512);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) all.push_back(kAvx2);
#endif
  all.push_back(kAny);
  return all;
}

}  // namespace

std::span<const MicroKernels> micro_kernels() {
  static const auto* all = new std::vector<MicroKernels>(supported());
  return *all;
}

}  // namespace cortland::engine::gemm
