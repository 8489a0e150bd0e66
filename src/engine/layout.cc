#include "engine/layout.h"

#include <algorithm>

namespace cortland::engine {
namespace {

struct Row {
  std::string_view op;
  LayoutRule rule;
};

constexpr Row kRows[] = {
    {"abs", LayoutRule::Elementwise},
    {"add", LayoutRule::Elementwise},
    {"avg_pool", LayoutRule::Native},
    {"batch_norm", LayoutRule::Native},
    {"cast", LayoutRule::Elementwise},
    {"clamped_relu", LayoutRule::Elementwise},
    {"clip", LayoutRule::Elementwise},
    {"concat", LayoutRule::Axis},
    {"conv", LayoutRule::Native},
    {"conv_transpose", LayoutRule::Native},
    {"elu", LayoutRule::Elementwise},
    {"erf", LayoutRule::Elementwise},
    {"exp", LayoutRule::Elementwise},
    {"gelu", LayoutRule::Elementwise},
    {"inverse", LayoutRule::Elementwise},
    {"layer_norm", LayoutRule::Axes},
    {"leaky_relu", LayoutRule::Elementwise},
    {"linear_activation", LayoutRule::Elementwise},
    {"log", LayoutRule::Elementwise},
    {"max_pool", LayoutRule::Native},
    {"maximum", LayoutRule::Elementwise},
    {"minimum", LayoutRule::Elementwise},
    {"mul", LayoutRule::Elementwise},
    {"pow", LayoutRule::Elementwise},
    {"real_div", LayoutRule::Elementwise},
    {"reduce_max", LayoutRule::Axes},
    {"reduce_mean", LayoutRule::Axes},
    {"reduce_min", LayoutRule::Axes},
    {"reduce_sum", LayoutRule::Axes},
    {"relu", LayoutRule::Elementwise},
    {"relu6", LayoutRule::Elementwise},
    {"resize", LayoutRule::Native},
    {"resize_bilinear", LayoutRule::Native},
    {"resize_nearest_neighbor", LayoutRule::Native},
    {"rsqrt", LayoutRule::Elementwise},
    {"scaled_tanh", LayoutRule::Elementwise},
    {"sigmoid", LayoutRule::Elementwise},
    {"sigmoid_hard", LayoutRule::Elementwise},
    {"silu", LayoutRule::Elementwise},
    {"softmax", LayoutRule::Axis},
    {"softplus", LayoutRule::Elementwise},
    {"softsign", LayoutRule::Elementwise},
    {"split", LayoutRule::Axis},
    {"sqrt", LayoutRule::Elementwise},
    {"square", LayoutRule::Elementwise},
    {"sub", LayoutRule::Elementwise},
    {"tanh", LayoutRule::Elementwise},
    {"threshold", LayoutRule::Elementwise},
    {"thresholded_relu", LayoutRule::Elementwise},
    {"transpose", LayoutRule::Transpose},
    {"upsample_bilinear", LayoutRule::Native},
    {"upsample_nearest_neighbor", LayoutRule::Native},
};

static_assert(std::is_sorted(std::begin(kRows), std::end(kRows), [](const Row& a, const Row& b) { return a.op < b.op; }));

}  // namespace

LayoutRule layout_rule(std::string_view op) {
  const auto* row = std::lower_bound(std::begin(kRows), std::end(kRows), op, [](const Row& r, std::string_view name) { return r.op < name; });
  return row != std::end(kRows) && row->op == op ? row->rule : LayoutRule::None;
}

int64_t axis_channels_last(int64_t axis, int64_t rank) {
  if (axis < 0) axis += rank;
  return axis == 0 ? 0 : axis == 1 ? rank - 1 : axis - 1;
}

}  // namespace cortland::engine
