#include "engine/layout.h"

#include <algorithm>
#include <numeric>
#include <string_view>

namespace cortland::engine {
namespace {

enum class LayoutRule {
  None,         // row by row only
  Native,       // its kernel knows the layout
  Elementwise,  // operands broadcast together
  Axis,         // along its operand `axis`
  Axes,         // over its operand `axes`
  Transpose,
};

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

LayoutRule layout_rule(std::string_view op) {
  const auto* row = std::lower_bound(std::begin(kRows), std::end(kRows), op, [](const Row& r, std::string_view name) { return r.op < name; });
  return row != std::end(kRows) && row->op == op ? row->rule : LayoutRule::None;
}

size_t slot(const Step& step, std::string_view name) { return static_cast<size_t>(step.op->slot(name)); }

// Whether what a reduction leaves, in the order of channels-last axes, is in the order of the program's.
bool keeps_order(std::vector<int64_t> axes, int rank) {
  for (int64_t& a : axes) a = a < 0 ? a + rank : a;
  auto gone = [&](int64_t axis) { return std::find(axes.begin(), axes.end(), axis) != axes.end(); };
  if (gone(1)) return true;
  for (int64_t axis = 2; axis < rank; ++axis)
    if (!gone(axis)) return false;
  return true;
}

}  // namespace

Form Layouts::row_major(const Step& step) const {
  Form form;
  for (const auto& slot : step.inputs) {
    form.inputs.emplace_back();
    for (Source s : slot) form.inputs.back().push_back({s, false});
  }
  form.results_last.assign(step.results.size(), false);
  form.same = is_float_cast(step);
  return form;
}

bool Layouts::is_float_cast(const Step& step) const {
  if (step.op->name != "cast") return false;
  const Source x = step.inputs[slot(step, "x")].at(0);
  return x.is_register() && is_float(type(x).dtype()) && is_float(step.result_types[0].dtype());
}

bool Layouts::any_last(const Step& step) const {
  for (const auto& slot : step.inputs)
    if (std::any_of(slot.begin(), slot.end(), [&](Source s) { return lies_last(s); })) return true;
  return false;
}

std::optional<Form> Layouts::channels_last(const Step& step) {
  const LayoutRule rule = layout_rule(step.op->name);
  if (rule == LayoutRule::None) return std::nullopt;
  if (rule == LayoutRule::Native) return native(step);
  if (rule == LayoutRule::Transpose) return transpose(step);
  if (!any_last(step)) return std::nullopt;
  if (rule == LayoutRule::Elementwise) return elementwise(step);
  return along_axes(step, rule == LayoutRule::Axis);
}

std::optional<Form> Layouts::native(const Step& step) const {
  const Source x = step.inputs[slot(step, "x")].at(0);
  if (!x.is_register() || type(x).rank() < 3) return std::nullopt;
  const bool prefers = step.op->name.starts_with("conv");  // others take x as it lies
  if (!prefers && !lies_last(x)) return std::nullopt;
  Form form = row_major(step);
  form.inputs[slot(step, "x")][0].last = true;
  form.results_last = {true};
  form.native = true;
  return form;
}

std::optional<Form> Layouts::elementwise(const Step& step) {
  const int rank = step.result_types[0].rank();
  Form form = row_major(step);
  for (size_t i = 0; i < form.inputs.size(); ++i)
    for (auto& operand : form.inputs[i]) {
      const std::string_view name = step.op->inputs[i].name;
      if (operand.source.is_register()) {
        const int r = type(operand.source).rank();
        if (r != rank && r != 0) return std::nullopt;
        operand.last = r == rank;
      } else if (name == "x" || name == "y") {
        operand.source = constant_channels_last(operand.source, rank);
      }
    }
  form.results_last.assign(step.results.size(), true);
  return form;
}

std::optional<Form> Layouts::along_axes(const Step& step, bool one) {
  const std::string_view name = one ? "axis" : "axes";
  Form form = row_major(step);
  int rank = 0;
  for (size_t i = 0; i < form.inputs.size(); ++i)
    if (const auto given = step.op->inputs[i].name; given == "x" || given == "values")
      for (auto& operand : form.inputs[i]) {
        if (!operand.source.is_register()) return std::nullopt;
        rank = type(operand.source).rank();
        operand.last = true;
      }
  const auto parameter = slot(step, name);
  std::vector<int64_t> axes;
  if (!step.inputs[parameter].empty()) {
    if (step.inputs[parameter][0].is_register()) return std::nullopt;
    axes = tensor(step.inputs[parameter][0]).ints();
  } else if (one) {
    axes = {static_cast<int64_t>(step.op->inputs[parameter].fallback.number)};
  } else {
    return std::nullopt;
  }
  const bool keeps_rank = step.result_types[0].rank() == rank;
  if (rank < 3 || (!keeps_rank && !keeps_order(axes, rank)) || (step.op->name == "layer_norm" && axes.size() != 1)) return std::nullopt;
  const bool is_list = step.inputs[parameter].empty() ? false : tensor(step.inputs[parameter][0]).rank() == 1;
  for (int64_t& axis : axes) axis = axis_channels_last(axis, rank);
  const std::vector<int64_t> shape = is_list ? std::vector<int64_t>{static_cast<int64_t>(axes.size())} : std::vector<int64_t>{};
  form.inputs[parameter] = {{new_constant(mil::Tensor::from(DType::I32, shape, axes)), false}};
  form.results_last.assign(step.results.size(), keeps_rank);
  return form;
}

std::optional<Form> Layouts::transpose(const Step& step) {
  const Source x = step.inputs[slot(step, "x")].at(0), given = step.inputs[slot(step, "perm")].at(0);
  if (!x.is_register() || given.is_register()) return std::nullopt;
  auto perm = tensor(given).ints();
  const auto rank = static_cast<int64_t>(perm.size());
  if (rank < 3 || rank != type(x).rank()) return std::nullopt;
  for (int64_t& p : perm) p = p < 0 ? p + rank : p;
  Form form = row_major(step);
  if (!lies_last(x)) {
    // A result that is the operand with its last axis moved to the channels lies there already, channels last.
    std::vector<int64_t> from_last = {0, rank - 1};
    for (int64_t axis = 1; axis < rank - 1; ++axis) from_last.push_back(axis);
    if (perm != from_last) return std::nullopt;
    form.results_last = {true};
    form.same = true;
    return form;
  }
  for (int64_t& p : perm) p = axis_channels_last(p, rank);
  form.inputs[slot(step, "x")][0].last = true;
  std::vector<int64_t> order(perm.size());
  std::iota(order.begin(), order.end(), 0);
  form.same = perm == order;
  form.inputs[slot(step, "perm")] = {{new_constant(mil::Tensor::from(DType::I32, {rank}, perm)), false}};
  return form;
}

Source Layouts::new_constant(mil::Tensor tensor) { return {Source::Kind::Constant, plan_.new_constant({std::move(tensor), {}, nullptr})}; }

Source Layouts::constant_channels_last(Source s, int rank) {
  const mil::Tensor& given = tensor(s);
  if (!given.storage || given.elements() == 1) return s;
  const auto [it, added] = moved_.try_emplace({s.index, rank}, -1);
  if (added) {
    std::vector<int64_t> shape(static_cast<size_t>(rank) - given.shape.size(), 1);
    shape.insert(shape.end(), given.shape.begin(), given.shape.end());
    const mil::Tensor moved = to_channels_last(given.reshaped(shape));
    it->second = plan_.new_constant({moved, {}, nullptr});
  }
  return {Source::Kind::Constant, it->second};
}

}  // namespace cortland::engine
