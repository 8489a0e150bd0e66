// Element types of both worlds: what torch can store and what MIL can store.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace cortland {

enum class DType : uint8_t {
  Unknown, Bool, I8, I16, I32, I64, U8, U16, U32, U64, F16, BF16, F32, F64, C32, C64, C128,
  F8E4M3FN, F8E5M2, F8E4M3FNUZ, F8E5M2FNUZ, F8E8M0FNU,
  // MIL only. Sub-byte types are packed, first element in the low bits.
  I4, U1, U2, U3, U4, U6, String,
};

int bit_width(DType t);                              // 0 for Unknown and String
inline int64_t byte_size(DType t, int64_t elements) { return (elements * bit_width(t) + 7) / 8; }
bool is_float(DType t);                              // real floating types
bool is_integer(DType t);                            // signed and unsigned, without bool
bool is_complex(DType t);
std::string_view mil_name(DType t);                  // "fp16", "int32", ...; "?" when MIL has no such type
std::string_view torch_name(DType t);                // "float16", "int64", ...; "?" when torch has no such type
std::optional<DType> dtype_from_mil_name(std::string_view name);

// IEEE 754 conversions, round to nearest even; f32 -> f16 overflows to infinity.
float f16_to_f32(uint16_t h);
uint16_t f32_to_f16(float f);
inline float bf16_to_f32(uint16_t b) { return __builtin_bit_cast(float, static_cast<uint32_t>(b) << 16); }
uint16_t f32_to_bf16(float f);
// Rows of the same conversions, with the processor's instructions where it has them.
void f16_to_f32(const uint16_t* from, float* to, int64_t count);
void f32_to_f16(const float* from, uint16_t* to, int64_t count);

}  // namespace cortland
