#include "mil_ops/recurrent.h"

#include <algorithm>
#include <cmath>

#include "mil_ops/matrix.h"

namespace cortland::mil_ops {
namespace {

// [rows, columns] -> [columns, rows]
std::vector<float> transpose(const mil::Tensor& weight) {
  const int64_t rows = weight.dim(0), columns = weight.dim(1);
  const mil::Tensor w = weight.cast(DType::F32);
  std::vector<float> out(static_cast<size_t>(rows * columns));
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t k = 0; k < columns; ++k) out[static_cast<size_t>(k * rows + r)] = w.data<float>()[r * columns + k];
  return out;
}

}  // namespace

void activate(Activation f, float* v, int64_t count) {
  switch (f) {
    case Activation::Tanh:
      for (int64_t i = 0; i < count; ++i) v[i] = std::tanh(v[i]);
      return;
    case Activation::Sigmoid:
      for (int64_t i = 0; i < count; ++i) v[i] = 1 / (1 + std::exp(-v[i]));
      return;
    case Activation::HardSigmoid:
      for (int64_t i = 0; i < count; ++i) v[i] = std::min(1.0f, std::max(0.0f, 0.2f * v[i] + 0.5f));
      return;
    case Activation::Relu:
      for (int64_t i = 0; i < count; ++i) v[i] = v[i] < 0 ? 0 : v[i];
      return;
    case Activation::Linear:
      return;
  }
}

Direction::Direction(const mil::EvalContext& c, std::string_view weight_ih, std::string_view weight_hh,
                     std::string_view bias)
    : steps(c.tensor("x").dim(0)),
      batch(c.tensor("x").dim(1)),
      inputs(c.tensor("x").dim(2)),
      hidden(c.tensor(weight_hh).dim(1)),
      gates(hidden ? c.tensor(weight_hh).dim(0) / hidden : 0),
      weight_hh_(transpose(c.tensor(weight_hh))) {
  const int64_t width = gates * hidden;
  gates_.assign(static_cast<size_t>(steps * batch * width), 0.0f);
  if (c.has(bias)) {
    const auto values = c.floats(bias);
    for (int64_t row = 0; row < steps * batch; ++row) std::copy(values.begin(), values.end(), gates_.begin() + row * width);
  }
  const mil::Tensor x = c.tensor("x").cast(DType::F32);
  const auto weight = transpose(c.tensor(weight_ih));
  multiply_add(steps * batch, width, inputs, {x.data<float>(), inputs, 1}, weight.data(), width, gates_.data(), width);
}

void Direction::add_recurrent(const std::vector<float>& state, int64_t first, int64_t last, float* to) const {
  multiply_add(batch, (last - first) * hidden, hidden, {state.data(), hidden, 1}, weight_hh_.data() + first * hidden,
               gates * hidden, to + first * hidden, gates * hidden);
}

std::vector<float> state_part(const mil::Tensor& state, int64_t hidden, int64_t direction) {
  const mil::Tensor s = state.cast(DType::F32);
  std::vector<float> part;
  for (int64_t b = 0; b < s.dim(0); ++b) {
    const float* row = s.data<float>() + b * s.dim(1) + direction * hidden;
    part.insert(part.end(), row, row + hidden);
  }
  return part;
}

void put_part(const std::vector<float>& part, int64_t hidden, float* out, int64_t width, int64_t first) {
  for (size_t b = 0; b * static_cast<size_t>(hidden) < part.size(); ++b)
    std::copy_n(part.begin() + static_cast<int64_t>(b) * hidden, hidden, out + static_cast<int64_t>(b) * width + first);
}

}  // namespace cortland::mil_ops
