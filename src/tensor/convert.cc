// Element conversions between any two types a program can hold.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "tensor/weight.h"

namespace cortland {
namespace {

template <class T>
T load(const std::byte* p) {
  T v;
  std::memcpy(&v, p, sizeof(T));
  return v;
}

template <class T>
void store(std::byte* p, T v) {
  std::memcpy(p, &v, sizeof(T));
}

// float8: sign, exponent bits, mantissa bits, bias; `finite` formats have no infinity.
float f8_to_f32(uint8_t v, int exponent_bits, int bias, bool finite, bool unsigned_zero) {
  const int mantissa_bits = 7 - exponent_bits;
  const int exponent = (v >> mantissa_bits) & ((1 << exponent_bits) - 1), mantissa = v & ((1 << mantissa_bits) - 1);
  const float sign = v & 0x80 ? -1.0f : 1.0f;
  const int top = (1 << exponent_bits) - 1;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  if (unsigned_zero && v == 0x80) return nan;
  if (!unsigned_zero && finite && (v & 0x7f) == 0x7f) return nan;
  if (!unsigned_zero && !finite && exponent == top) return mantissa ? nan : sign * std::numeric_limits<float>::infinity();
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), 1 - bias - mantissa_bits);
  return sign * std::ldexp(static_cast<float>(mantissa + (1 << mantissa_bits)), exponent - bias - mantissa_bits);
}

// A scalar of the widest kind that holds the source exactly.
struct Number {
  enum class Kind { Int, UInt, Float } kind;
  int64_t i;
  uint64_t u;
  double f;
};

Number from_int(int64_t v) { return {Number::Kind::Int, v, 0, 0}; }
Number from_float(double v) { return {Number::Kind::Float, 0, 0, v}; }

int packed(const std::byte* in, int64_t index, int bits) {
  int value = 0;
  for (int b = 0; b < bits; ++b) {
    const int64_t at = index * bits + b;
    value |= ((std::to_integer<int>(in[at / 8]) >> (at % 8)) & 1) << b;
  }
  return value;
}

Number read_number(DType t, const std::byte* in, int64_t i) {
  switch (t) {
    case DType::Bool: return from_int(std::to_integer<int>(in[i]) != 0);
    case DType::I8: return from_int(load<int8_t>(in + i));
    case DType::I16: return from_int(load<int16_t>(in + 2 * i));
    case DType::I32: return from_int(load<int32_t>(in + 4 * i));
    case DType::I64: return from_int(load<int64_t>(in + 8 * i));
    case DType::U8: return from_int(load<uint8_t>(in + i));
    case DType::U16: return from_int(load<uint16_t>(in + 2 * i));
    case DType::U32: return from_int(load<uint32_t>(in + 4 * i));
    case DType::U64: return {Number::Kind::UInt, 0, load<uint64_t>(in + 8 * i), 0};
    case DType::F16: return from_float(f16_to_f32(load<uint16_t>(in + 2 * i)));
    case DType::BF16: return from_float(bf16_to_f32(load<uint16_t>(in + 2 * i)));
    case DType::F32: return from_float(load<float>(in + 4 * i));
    case DType::F64: return from_float(load<double>(in + 8 * i));
    case DType::C64: return from_float(load<float>(in + 8 * i));
    case DType::C128: return from_float(load<double>(in + 16 * i));
    case DType::F8E4M3FN: return from_float(f8_to_f32(load<uint8_t>(in + i), 4, 7, true, false));
    case DType::F8E5M2: return from_float(f8_to_f32(load<uint8_t>(in + i), 5, 15, false, false));
    case DType::F8E4M3FNUZ: return from_float(f8_to_f32(load<uint8_t>(in + i), 4, 8, true, true));
    case DType::F8E5M2FNUZ: return from_float(f8_to_f32(load<uint8_t>(in + i), 5, 16, true, true));
    case DType::F8E8M0FNU: {
      const auto v = load<uint8_t>(in + i);
      return from_float(v == 255 ? std::numeric_limits<double>::quiet_NaN() : std::ldexp(1.0, v - 127));
    }
    case DType::I4: {
      const int v = packed(in, i, 4);
      return from_int(v >= 8 ? v - 16 : v);
    }
    case DType::U1: case DType::U2: case DType::U3: case DType::U4: case DType::U6:
      return from_int(packed(in, i, bit_width(t)));
    default: CHECK(false, "no elements of this type"); return from_int(0);
  }
}

template <class T>
T to_integer(const Number& n) {
  constexpr T low = std::numeric_limits<T>::min(), high = std::numeric_limits<T>::max();
  if (n.kind == Number::Kind::UInt) return static_cast<T>(n.u);
  if (n.kind == Number::Kind::Float) {
    if (std::isnan(n.f)) return 0;
    if (n.f >= static_cast<double>(high)) return high;
    if (n.f <= static_cast<double>(low)) return low;
    return static_cast<T>(n.f);
  }
  return static_cast<T>(n.i);  // integers wrap, as torch's do
}

double as_double(const Number& n) {
  if (n.kind == Number::Kind::Float) return n.f;
  return n.kind == Number::Kind::Int ? static_cast<double>(n.i) : static_cast<double>(n.u);
}

void write_packed(std::byte* out, int64_t index, int bits, int value) {
  for (int b = 0; b < bits; ++b) {
    const int64_t at = index * bits + b;
    const auto mask = static_cast<std::byte>(1 << (at % 8));
    out[at / 8] = ((value >> b) & 1) ? (out[at / 8] | mask) : (out[at / 8] & ~mask);
  }
}

void write_number(DType t, const Number& n, std::byte* out, int64_t i) {
  switch (t) {
    case DType::Bool: store<uint8_t>(out + i, as_double(n) != 0 ? 1 : 0); return;
    case DType::I8: store(out + i, to_integer<int8_t>(n)); return;
    case DType::I16: store(out + 2 * i, to_integer<int16_t>(n)); return;
    case DType::I32: store(out + 4 * i, to_integer<int32_t>(n)); return;
    case DType::I64: store(out + 8 * i, to_integer<int64_t>(n)); return;
    case DType::U8: store(out + i, to_integer<uint8_t>(n)); return;
    case DType::U16: store(out + 2 * i, to_integer<uint16_t>(n)); return;
    case DType::U32: store(out + 4 * i, to_integer<uint32_t>(n)); return;
    case DType::U64: store(out + 8 * i, to_integer<uint64_t>(n)); return;
    case DType::F16: store(out + 2 * i, f32_to_f16(static_cast<float>(as_double(n)))); return;
    case DType::BF16: store(out + 2 * i, f32_to_bf16(static_cast<float>(as_double(n)))); return;
    case DType::F32: store(out + 4 * i, static_cast<float>(as_double(n))); return;
    case DType::F64: store(out + 8 * i, as_double(n)); return;
    case DType::I4: case DType::U1: case DType::U2: case DType::U3: case DType::U4: case DType::U6:
      write_packed(out, i, bit_width(t), static_cast<int>(to_integer<int8_t>(n)));
      return;
    default: CHECK(false, "cannot convert to this element type");
  }
}

}  // namespace

void convert_elements(DType from, const std::byte* in, DType to, std::byte* out, int64_t count) {
  if (count == 0) return;  // the pointers may be null
  if (from == to) {
    std::memcpy(out, in, static_cast<size_t>(byte_size(from, count)));
  } else if (from == DType::F32 && to == DType::F16) {
    f32_to_f16(reinterpret_cast<const float*>(in), reinterpret_cast<uint16_t*>(out), count);
  } else if (from == DType::F16 && to == DType::F32) {
    f16_to_f32(reinterpret_cast<const uint16_t*>(in), reinterpret_cast<float*>(out), count);
  } else if (from == DType::BF16 && to == DType::F32) {
    for (int64_t i = 0; i < count; ++i) store(out + 4 * i, bf16_to_f32(load<uint16_t>(in + 2 * i)));
  } else if (from == DType::BF16 && to == DType::F16) {
    std::array<float, 1024> tile;  // both steps are vector instructions, one element's are not
    for (int64_t done = 0; done < count; done += std::ssize(tile)) {
      const int64_t m = std::min<int64_t>(std::ssize(tile), count - done);
      for (int64_t i = 0; i < m; ++i) tile[static_cast<size_t>(i)] = bf16_to_f32(load<uint16_t>(in + 2 * (done + i)));
      f32_to_f16(tile.data(), reinterpret_cast<uint16_t*>(out + 2 * done), m);
    }
  } else {
    for (int64_t i = 0; i < count; ++i) write_number(to, read_number(from, in, i), out, i);
  }
}

}  // namespace cortland
