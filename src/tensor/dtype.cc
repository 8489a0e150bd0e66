#include "tensor/dtype.h"

#include <cmath>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace cortland {
namespace {

struct DTypeInfo {
  DType type;
  int bits;
  const char* mil;
  const char* torch;
};

constexpr DTypeInfo kInfo[] = {
    {DType::Unknown, 0, "?", "?"},           {DType::Bool, 8, "bool", "bool"},
    {DType::I8, 8, "int8", "int8"},          {DType::I16, 16, "int16", "int16"},
    {DType::I32, 32, "int32", "int32"},      {DType::I64, 64, "int64", "int64"},
    {DType::U8, 8, "uint8", "uint8"},        {DType::U16, 16, "uint16", "uint16"},
    {DType::U32, 32, "uint32", "uint32"},    {DType::U64, 64, "uint64", "uint64"},
    {DType::F16, 16, "fp16", "float16"},     {DType::BF16, 16, "bf16", "bfloat16"},
    {DType::F32, 32, "fp32", "float32"},     {DType::F64, 64, "fp64", "float64"},
    {DType::C32, 32, "?", "complex32"},      {DType::C64, 64, "?", "complex64"},
    {DType::C128, 128, "?", "complex128"},   {DType::F8E4M3FN, 8, "?", "float8_e4m3fn"},
    {DType::F8E5M2, 8, "?", "float8_e5m2"},  {DType::F8E4M3FNUZ, 8, "?", "float8_e4m3fnuz"},
    {DType::F8E5M2FNUZ, 8, "?", "float8_e5m2fnuz"}, {DType::F8E8M0FNU, 8, "?", "float8_e8m0fnu"},
    {DType::I4, 4, "int4", "?"},             {DType::U1, 1, "uint1", "?"},
    {DType::U2, 2, "uint2", "?"},            {DType::U3, 3, "uint3", "?"},
    {DType::U4, 4, "uint4", "?"},            {DType::U6, 6, "uint6", "?"},
    {DType::String, 0, "string", "?"},
};

const DTypeInfo& info(DType t) { return kInfo[static_cast<int>(t)]; }

// Weights lie in files wherever they lie: neither side is aligned.
void widen_one(const uint16_t* from, float* to) {
  uint16_t half;
  std::memcpy(&half, from, sizeof(half));
  const float value = f16_to_f32(half);
  std::memcpy(to, &value, sizeof(value));
}

void narrow_one(const float* from, uint16_t* to) {
  float value;
  std::memcpy(&value, from, sizeof(value));
  const uint16_t half = f32_to_f16(value);
  std::memcpy(to, &half, sizeof(half));
}

#if defined(__x86_64__)
__attribute__((target("avx,f16c"))) void widen_f16c(const uint16_t* from, float* to, int64_t count) {
  int64_t i = 0;
  for (; i + 8 <= count; i += 8)
    _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i))));
  for (; i < count; ++i) widen_one(from + i, to + i);
}

__attribute__((target("avx,f16c"))) void narrow_f16c(const float* from, uint16_t* to, int64_t count) {
  int64_t i = 0;
  for (; i + 8 <= count; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT));
  for (; i < count; ++i) narrow_one(from + i, to + i);
}

bool has_f16c() {
  static const bool yes = __builtin_cpu_supports("avx2");  // all of those have F16C, which clang 14 cannot ask for
  return yes;
}
#endif

}  // namespace

int bit_width(DType t) { return info(t).bits; }

bool is_float(DType t) {
  return t == DType::F16 || t == DType::BF16 || t == DType::F32 || t == DType::F64 ||
         (t >= DType::F8E4M3FN && t <= DType::F8E8M0FNU);
}

bool is_integer(DType t) { return (t >= DType::I8 && t <= DType::U64) || (t >= DType::I4 && t <= DType::U6); }
bool is_complex(DType t) { return t >= DType::C32 && t <= DType::C128; }
std::string_view mil_name(DType t) { return info(t).mil; }
std::string_view torch_name(DType t) { return info(t).torch; }

std::optional<DType> dtype_from_mil_name(std::string_view name) {
  for (const auto& i : kInfo)
    if (name != "?" && name == i.mil) return i.type;
  return std::nullopt;
}

float f16_to_f32(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16;
  const uint32_t exponent = (h >> 10) & 0x1f, mantissa = h & 0x3ff;
  if (exponent == 0) {
    const float tiny = std::ldexp(static_cast<float>(mantissa), -24);
    return sign ? -tiny : tiny;
  }
  const uint32_t bits = exponent == 31 ? 0x7f800000u | (mantissa << 13) : ((exponent + 112) << 23) | (mantissa << 13);
  return __builtin_bit_cast(float, sign | bits);
}

uint16_t f32_to_f16(float f) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, f);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return static_cast<uint16_t>(sign | 0x7e00 | ((magnitude >> 13) & 0x3ff));
  if (magnitude >= 0x47800000) return static_cast<uint16_t>(sign | 0x7c00);  // 65536 and above
  if (magnitude < 0x38800000) {                                              // below 2^-14: a multiple of 2^-24
    const float scaled = __builtin_bit_cast(float, magnitude) * 0x1p24f;
    return static_cast<uint16_t>(sign | static_cast<uint16_t>(std::nearbyintf(scaled)));
  }
  const uint32_t rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
  return static_cast<uint16_t>(sign | ((rounded - 0x38000000) >> 13));
}

uint16_t f32_to_bf16(float f) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, f);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

void f16_to_f32(const uint16_t* from, float* to, int64_t count) {
#if defined(__x86_64__)
  if (has_f16c()) return widen_f16c(from, to, count);
#endif
  for (int64_t i = 0; i < count; ++i) widen_one(from + i, to + i);
}

void f32_to_f16(const float* from, uint16_t* to, int64_t count) {
#if defined(__x86_64__)
  if (has_f16c()) return narrow_f16c(from, to, count);
#endif
  for (int64_t i = 0; i < count; ++i) narrow_one(from + i, to + i);
}

}  // namespace cortland
