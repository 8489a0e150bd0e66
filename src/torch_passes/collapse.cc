#include "torch_passes/collapse.h"

#include <string>
#include <unordered_set>

namespace cortland::torch_passes {
namespace {

using Names = std::unordered_set<std::string_view>;

}  // namespace

std::string_view base_name(std::string_view target) {
  if (!target.starts_with("aten.")) return {};
  target.remove_prefix(5);
  return target.substr(0, target.find('.'));
}

bool is_pointwise(std::string_view target) {
  // clang-format off
  static const Names names = {
      "abs", "absolute", "acos", "acosh", "add", "addcdiv", "addcmul", "asin", "asinh", "atan", "atan2", "atanh", "bitwise_and",
      "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "ceil", "celu", "clamp", "clamp_max",
      "clamp_min", "clip", "copysign", "cos", "cosh", "deg2rad", "div", "divide", "elu", "eq", "erf", "erfc", "erfinv", "exp",
      "exp2", "expm1", "fix", "float_power", "floor", "floor_divide", "fmax", "fmin", "fmod", "frac", "ge", "gelu", "greater", "gt",
      "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "heaviside", "hypot", "isfinite", "isinf", "isnan", "ldexp", "le",
      "leaky_relu", "lerp", "less", "log", "log10", "log1p", "log2", "log_sigmoid", "logaddexp", "logaddexp2", "logical_and",
      "logical_not", "logical_or", "logical_xor", "logit", "lt", "masked_fill", "maximum", "minimum", "mish", "mul", "multiply",
      "nan_to_num", "ne", "neg", "negative", "pow", "rad2deg", "reciprocal", "relu", "relu6", "remainder", "round", "rsqrt", "rsub",
      "selu", "sgn", "sigmoid", "sign", "signbit", "silu", "sin", "sinc", "sinh", "softplus", "softshrink", "sqrt", "square", "sub",
      "subtract", "tan", "tanh", "threshold", "true_divide", "trunc", "where", "xlogy", "__and__", "__or__", "__xor__"};
  // clang-format on
  // max and min compare two tensors in one overload, and reduce in the others; where without values gives indices.
  if (target == "aten.max.other" || target == "aten.min.other" || target == "aten.to.dtype" ||
      target == "aten._to_copy.default")
    return true;
  return names.contains(base_name(target)) && target != "aten.where.default";
}

bool is_reduction(std::string_view target) {
  static const Names names = {"sum", "mean", "amax", "amin",      "argmax", "argmin",
                              "any", "all",  "prod", "logsumexp", "var",    "std"};
  return target == "aten.max.dim" || target == "aten.min.dim" || names.contains(base_name(target));
}

bool is_scan(std::string_view target) {
  static const Names names = {"softmax", "_softmax", "log_softmax", "_log_softmax", "cumsum", "cumprod", "logcumsumexp"};
  return names.contains(base_name(target));
}

std::optional<Collapsed> collapse(DimTable& dims, const std::vector<Shape>& operands, const Shape& result) {
  const size_t count = operands.size();
  Collapsed out{std::vector<Shape>(count), {}};
  std::vector<bool> last;  // which operands have the axis before whole
  for (size_t axis = 0; axis < result.size(); ++axis) {
    std::vector<bool> whole(count, false);
    for (size_t k = 0; k < count; ++k) {
      const size_t missing = result.size() - std::min(result.size(), operands[k].size());
      if (axis < missing) continue;
      const Dim size = operands[k][axis - missing];
      whole[k] = size == result[axis];
      if (!whole[k] && size != Dim(1)) return std::nullopt;
    }
    if (result[axis] == Dim(1)) continue;
    if (out.result.empty() || whole != last) {
      out.result.push_back(1);
      for (Shape& s : out.operands) s.push_back(1);
    }
    out.result.back() = dims.mul(out.result.back(), result[axis]);
    for (size_t k = 0; k < count; ++k)
      if (whole[k]) out.operands[k].back() = dims.mul(out.operands[k].back(), result[axis]);
    last = std::move(whole);
  }
  return out;
}

}  // namespace cortland::torch_passes
