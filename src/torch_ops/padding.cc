// Padding with a constant, by reflection, by repeating the border, or in a circle; negative amounts cut off.
#include <algorithm>

#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/elementwise.h"

namespace cortland::torch_ops {
namespace {

using Ints = std::vector<int64_t>;

enum class Mode { Constant, Reflect, Replicate, Circular };

struct Amount {
  int64_t before = 0, after = 0;
  bool none() const { return before == 0 && after == 0; }
};

// torch counts from the last axis; here they are in the order of the axes.
Result<std::vector<Amount>> amounts_of(Lowering& in, std::string_view name, int rank) {
  TRY(const Ints pad, in.ints(name));
  if (pad.size() % 2 != 0 || pad.size() > 2 * static_cast<size_t>(rank)) return in.reject(DiagKind::UnsupportedArgument, "the padding does not fit the rank");
  std::vector<Amount> amounts(static_cast<size_t>(rank));
  for (size_t i = 0; 2 * i < pad.size(); ++i) amounts[static_cast<size_t>(rank) - 1 - i] = {pad[2 * i], pad[2 * i + 1]};
  return amounts;
}

// Cuts off what is negative and leaves what is to be added.
Result<Operand> cropped(Lowering& in, Operand x, std::vector<Amount>& amounts) {
  for (size_t i = 0; i < amounts.size(); ++i) {
    const Amount a = amounts[i];
    if (a.before >= 0 && a.after >= 0) continue;
    const Dim end = in.dim_table().add(in.shape_of(x)[i], in.dim_table().constant(std::min<int64_t>(a.after, 0)));
    TRY(x, slice(in, x, static_cast<int64_t>(i), std::max<int64_t>(-a.before, 0), end));
    amounts[i] = {std::max<int64_t>(a.before, 0), std::max<int64_t>(a.after, 0)};
  }
  return x;
}

// `count` elements of a value beside x.
Result<Operand> block_beside(Lowering& in, Operand x, size_t axis, int64_t count, double value) {
  Shape shape = in.shape_of(x);
  shape[axis] = count;
  return filled(in, shape, value, in.dtype_of(x));
}

// The pad op takes floats only; other types are put together from blocks.
Result<Operand> pad_constant(Lowering& in, Operand x, const std::vector<Amount>& amounts, double value) {
  if (is_float(in.dtype_of(x))) {
    Ints pads;
    for (const Amount& a : amounts) pads.insert(pads.end(), {a.before, a.after});
    return in.op(mil_ops::pad, {{"x", x}, {"pad", pads}, {"mode", "constant"}, {"constant_val", number_like(in, value, x)}});
  }
  for (size_t i = 0; i < amounts.size(); ++i) {
    std::vector<Operand> parts;
    if (amounts[i].before > 0) {
      TRY(Operand block, block_beside(in, x, i, amounts[i].before, value));
      parts.push_back(block);
    }
    parts.push_back(x);
    if (amounts[i].after > 0) {
      TRY(Operand block, block_beside(in, x, i, amounts[i].after, value));
      parts.push_back(block);
    }
    TRY(x, concat(in, parts, static_cast<int64_t>(i)));
  }
  return x;
}

// Position of the element that a padded position shows.
int64_t source(Mode mode, int64_t at, int64_t size) {
  if (mode == Mode::Replicate) return std::clamp<int64_t>(at, 0, size - 1);
  if (mode == Mode::Circular) return ((at % size) + size) % size;
  const int64_t period = std::max<int64_t>(1, 2 * (size - 1));
  at = ((at % period) + period) % period;
  return at < size ? at : period - at;
}

// One axis by gathering; for integers, which the pad op does not take, and for amounts beyond the size.
Result<Operand> pad_by_gather(Lowering& in, Operand x, size_t axis, Amount a, Mode mode) {
  const Shape shape = in.shape_of(x);
  if (!shape[axis].is_constant()) return in.reject(DiagKind::UnsupportedShape, "pads an integer axis of dynamic size by its own elements");
  Ints at;
  for (int64_t i = -a.before; i < shape[axis].constant() + a.after; ++i) at.push_back(source(mode, i, shape[axis].constant()));
  const bool boolean = in.dtype_of(x) == DType::Bool;
  TRY(x, as_numbers(in, x));
  TRY(x, in.reshape(x, {product(in, shape, 0, axis), shape[axis], product(in, shape, axis + 1, shape.size())}));
  TRY(x, in.op(mil_ops::gather, {{"x", x}, {"indices", in.constant(at)}, {"axis", 1}}));
  Shape to = shape;
  to[axis] = static_cast<int64_t>(at.size());
  TRY(x, in.reshape(x, to));
  return boolean ? as_bool(in, x) : Result<Operand>(x);
}

// Core ML reflects and repeats along the last two axes only: other axes are moved there by merging what follows.
Result<Operand> pad_axis(Lowering& in, Operand x, size_t axis, Amount a, Mode mode) {
  const Shape shape = in.shape_of(x);
  const bool last_two = axis + 2 >= shape.size();
  if (!last_two) {
    TRY(x, in.reshape(x, {product(in, shape, 0, axis), shape[axis], product(in, shape, axis + 1, shape.size())}));
  }
  Ints pads = {a.before, a.after};
  if (!last_two || axis + 2 == shape.size()) pads.insert(pads.end(), {0, 0});
  TRY(x, in.op(mil_ops::pad, {{"x", x}, {"pad", pads}, {"mode", mode == Mode::Reflect ? "reflect" : "replicate"}, {"constant_val", 0.0}}));
  if (last_two) return x;
  Shape to = shape;
  to[axis] = in.dim_table().add(shape[axis], a.before + a.after);
  return in.reshape(x, to);
}

Result<Operand> pad_circular(Lowering& in, Operand x, size_t axis, Amount a) {
  const auto at = static_cast<int64_t>(axis);
  const Dim size = in.shape_of(x)[axis];
  std::vector<Operand> parts;
  if (a.before > 0) {
    TRY(Operand end, slice(in, x, at, in.dim_table().sub(size, a.before), size));
    parts.push_back(end);
  }
  parts.push_back(x);
  if (a.after > 0) {
    TRY(Operand begin, slice(in, x, at, 0, a.after));
    parts.push_back(begin);
  }
  return concat(in, parts, at);
}

Result<Operand> pad_by_own(Lowering& in, Operand x, const std::vector<Amount>& amounts, Mode mode) {
  for (size_t i = 0; i < amounts.size(); ++i) {
    const Amount a = amounts[i];
    if (a.none()) continue;
    const Dim size = in.shape_of(x)[i];
    const bool beyond = size.is_constant() && std::max(a.before, a.after) > size.constant() - (mode == Mode::Reflect ? 1 : 0);
    if (beyond || (!is_float(in.dtype_of(x)) && mode != Mode::Circular)) {
      TRY(x, pad_by_gather(in, x, i, a, mode));
    } else if (mode == Mode::Circular) {
      TRY(x, pad_circular(in, x, i, a));
    } else {
      TRY(x, pad_axis(in, x, i, a, mode));
    }
  }
  return x;
}

Result<Operand> padded(Lowering& in, std::string_view name, Mode mode, double value) {
  TRY(Operand x, in.precise_tensor("self"));
  if (x.is_const()) {
    TRY(x, in.tensor("self"));
  }
  TRY(auto amounts, amounts_of(in, name, in.rank("self")));
  TRY(x, cropped(in, x, amounts));
  if (std::all_of(amounts.begin(), amounts.end(), [](const Amount& a) { return a.none(); })) return x;
  return mode == Mode::Constant ? pad_constant(in, x, amounts, value) : pad_by_own(in, x, amounts, mode);
}

Result<double> value_of(Lowering& in) {
  if (!in.has("value")) return 0.0;
  return in.number("value");
}

Lowered lower_constant(Lowering& in) {
  TRY(const double value, value_of(in));
  return padded(in, "pad", Mode::Constant, value);
}

Lowered lower_pad(Lowering& in) {
  const std::string mode = in.str("mode");
  if (mode == "constant") return lower_constant(in);
  if (mode == "reflect") return padded(in, "pad", Mode::Reflect, 0);
  if (mode == "replicate") return padded(in, "pad", Mode::Replicate, 0);
  if (mode == "circular") return padded(in, "pad", Mode::Circular, 0);
  return in.reject_argument("mode", mode, "use constant, reflect, replicate or circular");
}

Lowered lower_enum(Lowering& in) {
  TRY(const int64_t mode, in.integer("mode"));
  if (mode < 0 || mode > 3) return in.reject_argument("mode", std::to_string(mode), "use 0 to 3");
  constexpr Mode kModes[] = {Mode::Reflect, Mode::Replicate, Mode::Circular, Mode::Constant};
  TRY(const double value, value_of(in));
  return padded(in, "pad", kModes[mode], value);
}

template <Mode mode>
Lowered lower_fixed(Lowering& in) {
  return padded(in, in.has("padding") ? "padding" : "pad", mode, 0);
}

constexpr TorchOp kTable[] = {
    {.schema = "aten::_pad_circular(Tensor self, SymInt[] pad) -> Tensor", .lower = lower_fixed<Mode::Circular>,
     .samples = "F[1,2,5] [2,1] -> F[1,2,8]; F[1,2,5,4] [1,2,2,1] -> F[1,2,8,7]; F[1,n2,m5] [2,1] -> F[1,n2,m5+3]"},
    {.schema = "aten::_pad_enum(Tensor self, SymInt[] pad, int mode, float? value=None) -> Tensor", .lower = lower_enum,
     .samples = "F[1,2,5] [2,1] 1 -> F[1,2,8]; F[1,2,5] [2,1] 2 -> F[1,2,8]; F[1,2,5] [2,1] 3 -> F[1,2,8]; "
                "F[1,n2,m5] [2,1] 1 -> F[1,n2,m5+3]"},
    {.schema = "aten::constant_pad_nd(Tensor self, SymInt[] pad, Scalar value=0) -> Tensor", .lower = lower_constant,
     .decompose = decompositions::pad_or_crop,
     .samples = "N[2,3] [1,2] -> N[2,6]; F[2,3,4] [1,2,0,1] 1.5 -> F[2,4,7]; F[2,4] [-1,2] -> F[2,5]; "
                "F[n4,3] [1,1] -> F[n4,5]"},
    {.schema = "aten::pad(Tensor self, SymInt[] pad, str mode=\"constant\", float? value=None) -> Tensor", .lower = lower_pad,
     .decompose = decompositions::pad,
     .samples = "F[1,2,5] [2,1] -> F[1,2,8]; F[1,2,5] [2,1] 'constant' 1.5 -> F[1,2,8]; "
                "F[1,2,5] [2,1] 'reflect' -> F[1,2,8]; F[1,2,5,4] [1,2,2,1] 'replicate' -> F[1,2,8,7]; "
                "F[1,2,5] [2,1] 'circular' -> F[1,2,8]; F[1,n2,m5] [2,1] -> F[1,n2,m5+3]"},
    {.schema = "aten::reflection_pad1d(Tensor self, SymInt[2] padding) -> Tensor", .lower = lower_fixed<Mode::Reflect>,
     .samples = "F[1,2,5] [2,1] -> F[1,2,8]; F[2,5] [2,1] -> F[2,8]; F[1,2,n5] [2,1] -> F[1,2,n5+3]"},
    {.schema = "aten::reflection_pad2d(Tensor self, SymInt[4] padding) -> Tensor", .lower = lower_fixed<Mode::Reflect>,
     .samples = "F[1,2,5,4] [1,2,2,1] -> F[1,2,8,7]; F[1,n2,m5,k4] [1,2,2,1] -> F[1,n2,m5+3,k4+3]"},
    {.schema = "aten::reflection_pad3d(Tensor self, SymInt[6] padding) -> Tensor", .lower = lower_fixed<Mode::Reflect>,
     .samples = "F[1,2,3,5,4] [1,2,2,1,1,1] -> F[1,2,5,8,7]; "
                "F[1,n2,m3,k5,p4] [1,2,2,1,1,1] -> F[1,n2,m3+2,k5+3,p4+3]"},
    {.schema = "aten::replication_pad1d(Tensor self, SymInt[2] padding) -> Tensor", .lower = lower_fixed<Mode::Replicate>,
     .samples = "F[1,2,5] [2,1] -> F[1,2,8]; F[2,5] [2,1] -> F[2,8]; F[1,n2,m5] [2,1] -> F[1,n2,m5+3]"},
    {.schema = "aten::replication_pad2d(Tensor self, SymInt[4] padding) -> Tensor", .lower = lower_fixed<Mode::Replicate>,
     .samples = "F[1,2,5,4] [1,2,2,1] -> F[1,2,8,7]; F[1,n2,m5,k4] [1,2,2,1] -> F[1,n2,m5+3,k4+3]"},
    {.schema = "aten::replication_pad3d(Tensor self, SymInt[6] padding) -> Tensor", .lower = lower_fixed<Mode::Replicate>,
     .samples = "F[1,2,3,5,4] [1,2,2,1,1,1] -> F[1,2,5,8,7]; "
                "F[1,n2,m3,k5,p4] [1,2,2,1,1,1] -> F[1,n2,m3+2,k5+3,p4+3]"},
};

}  // namespace

extern const std::span<const TorchOp> kPaddingOps;
const std::span<const TorchOp> kPaddingOps = kTable;

}  // namespace cortland::torch_ops
