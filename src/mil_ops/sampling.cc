#include "mil_ops/sampling.h"

#include <algorithm>
#include <cmath>

namespace cortland::mil_ops {

std::vector<double> sampling_grid(Sampling mode, double in, int64_t out) {
  const auto n = static_cast<double>(out);
  double start = 0, spacing = 0;
  switch (mode) {
    case Sampling::AlignCorners:
      if (out == 1) start = (in - 1) / 2;
      [[fallthrough]];
    case Sampling::StrictAlignCorners:
      spacing = out > 1 ? (in - 1) / (n - 1) : 0;
      break;
    case Sampling::Default:
      spacing = in / n;
      break;
    case Sampling::OffsetCorners:
      spacing = std::max(1.0, in - 1) / n;
      start = spacing / 2;
      break;
    case Sampling::UnalignCorners:
      spacing = in / n;
      start = spacing / 2 - 0.5;
      break;
  }
  std::vector<double> points(static_cast<size_t>(out));
  for (size_t i = 0; i < points.size(); ++i)
    points[i] = std::min(in - 1, std::max(0.0, start + static_cast<double>(i) * spacing));
  return points;
}

std::vector<Tap> taps(const std::vector<double>& points, int64_t size) {
  std::vector<Tap> out;
  out.reserve(points.size());
  for (double p : points) {
    const int64_t low = std::clamp<int64_t>(static_cast<int64_t>(p), 0, size - 1);
    out.push_back({low, std::min(low + 1, size - 1), static_cast<float>(p - static_cast<double>(low))});
  }
  return out;
}

mil::Tensor take(const mil::Tensor& x, size_t axis, const std::vector<Tap>& points) {
  auto shape = x.shape;
  shape[axis] = static_cast<int64_t>(points.size());
  mil::Tensor out = mil::Tensor::make(x.dtype, shape);
  const int64_t outer = product(x.shape, 0, axis), inner = product(x.shape, axis + 1, x.shape.size());
  const auto bytes = static_cast<size_t>(byte_size(x.dtype, inner));
  std::byte* to = out.mutable_data();
  for (int64_t o = 0; o < outer; ++o)
    for (const Tap& p : points) {
      std::memcpy(to, x.data() + static_cast<size_t>(o * x.shape[axis] + p.low) * bytes, bytes);
      to += bytes;
    }
  return out;
}

mil::Tensor interpolate(const mil::Tensor& x, size_t axis, const std::vector<Tap>& points) {
  auto shape = x.shape;
  shape[axis] = static_cast<int64_t>(points.size());
  mil::Tensor out = mil::Tensor::make(DType::F32, shape);
  const int64_t outer = product(x.shape, 0, axis), inner = product(x.shape, axis + 1, x.shape.size());
  float* to = out.mutable_data<float>();
  for (int64_t o = 0; o < outer; ++o) {
    const float* plane = x.data<float>() + o * x.shape[axis] * inner;
    for (const Tap& tap : points) {
      const float *low = plane + tap.low * inner, *high = plane + tap.high * inner;
      for (int64_t i = 0; i < inner; ++i) to[i] = (1 - tap.fraction) * low[i] + tap.fraction * high[i];
      to += inner;
    }
  }
  return out;
}

}  // namespace cortland::mil_ops
