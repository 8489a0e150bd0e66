// Loops of the element-wise kernels. Floats are computed in float32, tile by tile or row by row, and rounded once; int32 is
// computed in int64 and wraps. The function is a template argument, so the inner loops vectorise.
#pragma once

#include <algorithm>

#include "mil_ops/shape_rules.h"
#include "mil_ops/strided.h"
#include "tensor/weight.h"

namespace cortland::mil_ops {

inline std::byte* element_at(mil::Tensor& t, int64_t i) { return t.mutable_data() + byte_size(t.dtype, i); }
inline const std::byte* element_at(const mil::Tensor& t, int64_t i) { return t.data() + byte_size(t.dtype, i); }

// out[i] = f(x[i]) for elements [first, last); `out` has the size of `x`.
template <class F>
void map_run(const mil::Tensor& x, mil::Tensor& out, int64_t first, int64_t last, F f) {
  constexpr int64_t kTile = 1024;
  float tile[kTile];
  for (int64_t i = first; i < last; i += kTile) {
    const int64_t n = std::min(kTile, last - i);
    convert_elements(x.dtype, element_at(x, i), DType::F32, reinterpret_cast<std::byte*>(tile), n);
    for (int64_t k = 0; k < n; ++k) tile[k] = f(tile[k]);
    convert_elements(DType::F32, reinterpret_cast<const std::byte*>(tile), out.dtype, element_at(out, i), n);
  }
}

template <class F>
Status map_floats(mil::EvalContext& c, F f) {
  const mil::Tensor x = c.tensor("x");
  mil::Tensor& out = c.output(0, x.shape, x.dtype);
  map_run(x, out, 0, x.elements(), f);
  return {};
}

template <class F>
Status map_ints(mil::EvalContext& c, F f) {
  const mil::Tensor x = c.tensor("x");
  mil::Tensor& out = c.output(0, x.shape, DType::I32);
  const int32_t* in = x.data<int32_t>();
  int32_t* to = out.mutable_data<int32_t>();
  for (int64_t i = 0, n = x.elements(); i < n; ++i) to[i] = static_cast<int32_t>(f(int64_t{in[i]}));
  return {};
}

template <auto F>
Status float_op(mil::EvalContext& c) {
  return map_floats(c, F);
}

// F takes float or int64_t.
template <auto F>
Status number_op(mil::EvalContext& c) {
  return c.tensor("x").dtype == DType::I32 ? map_ints(c, F) : map_floats(c, F);
}

inline Result<Sizes> broadcast_sizes(const mil::EvalContext& c, const Sizes& x, const Sizes& y) {
  TRY(Sizes shape, mil::broadcast(x, y));
  TRY_DO(check_sizes(c, shape));
  return shape;
}

// out = f(x, y) over the broadcast shape of `out`, both operands of type T.
template <class T, class R, class F>
void broadcast_run(const mil::Tensor& x, const mil::Tensor& y, const Sizes& shape, R* out, F f) {
  StridedWalk walk(shape, {broadcast_strides(x.shape, shape), broadcast_strides(y.shape, shape), dense_strides(shape)});
  for (; !walk.done(); walk.next()) {
    const T* a = x.data<T>() + walk.at(0);
    const T* b = y.data<T>() + walk.at(1);
    R* to = out + walk.at(2);
    const int64_t n = walk.length(), sa = walk.step(0), sb = walk.step(1);
    if (sa == 1 && sb == 1)
      for (int64_t i = 0; i < n; ++i) to[i] = static_cast<R>(f(a[i], b[i]));
    else if (sa == 1 && sb == 0)
      for (int64_t i = 0; i < n; ++i) to[i] = static_cast<R>(f(a[i], *b));
    else if (sa == 0 && sb == 1)
      for (int64_t i = 0; i < n; ++i) to[i] = static_cast<R>(f(*a, b[i]));
    else
      for (int64_t i = 0; i < n; ++i) to[i] = static_cast<R>(f(a[i * sa], b[i * sb]));
  }
}

// int64_t for int32 operands, so that nothing overflows before it is truncated.
template <class F>
auto widened(F f) {
  return [f](int32_t a, int32_t b) { return f(int64_t{a}, int64_t{b}); };
}

// F(a, b) for float and int64_t; the result has the operands' type.
template <auto F>
Status arithmetic_op(mil::EvalContext& c) {
  const mil::Tensor x = c.tensor("x"), y = c.tensor("y");
  TRY(const Sizes shape, broadcast_sizes(c, x.shape, y.shape));
  if (x.dtype == DType::I32) {
    broadcast_run<int32_t>(x, y, shape, c.output(0, shape, DType::I32).mutable_data<int32_t>(), widened(F));
    return {};
  }
  mil::Tensor out = mil::Tensor::make(DType::F32, shape);
  broadcast_run<float>(x.cast(DType::F32), y.cast(DType::F32), shape, out.mutable_data<float>(), F);
  c.set_output(0, x.dtype == DType::F32 ? std::move(out) : out.cast(x.dtype));
  return {};
}

// F(a, b) -> bool for float and int64_t.
template <auto F>
Status comparison_op(mil::EvalContext& c) {
  const mil::Tensor x = c.tensor("x"), y = c.tensor("y");
  TRY(const Sizes shape, broadcast_sizes(c, x.shape, y.shape));
  uint8_t* out = c.output(0, shape, DType::Bool).mutable_data<uint8_t>();
  if (x.dtype == DType::I32)
    broadcast_run<int32_t>(x, y, shape, out, widened(F));
  else
    broadcast_run<float>(x.cast(DType::F32), y.cast(DType::F32), shape, out, F);
  return {};
}

}  // namespace cortland::mil_ops
