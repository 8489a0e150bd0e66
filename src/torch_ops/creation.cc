// Tensors made from nothing: constants where the shape is static, filled at run time where it is not.
#include <fmt/format.h>

#include <cmath>

#include "mil_ops/ops.h"
#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/op.h"

namespace cortland::torch_ops {
namespace {

// Nodes without tensor arguments compute in float32, which is right for constants; a value made at run time takes the
// model's type where the number fits it.
DType run_time_dtype(Lowering& in, const Shape& shape, double value) {
  const DType wanted = in.result_type().dtype;
  if (!is_float(wanted) || TensorType{wanted, shape}.is_static() || (std::isfinite(value) && std::abs(value) > 65504 && std::abs(value) < 1e38))
    return in.mil_dtype(wanted);
  return in.options().float_type;
}

Result<Operand> full(Lowering& in, double value) {
  const Shape& shape = in.result_type().shape;
  const DType type = in.result_type().dtype;
  if (type != DType::Bool && !is_float(type) && !is_integer(type)) return in.reject(DiagKind::UnsupportedDtype, "fills a tensor that holds no numbers");
  if (is_integer(type) && !(std::abs(value) <= INT32_MAX))
    return in.reject(DiagKind::UnsupportedDtype, fmt::format("the value {} does not fit 32 bits", value));
  return filled(in, shape, value, run_time_dtype(in, shape, value));
}

// A fill value that is a number, or a size of another tensor.
Lowered filled_with(Lowering& in, std::string_view name) {
  if (in.is_tensor(name) || in.arg(name).as<torch::ValueId>()) {
    TRY(Operand value, tensor_as_result(in, name));
    if (in.rank_of(value) > 0) {
      TRY(value, in.reshape(value, {}));
    }
    return filled(in, in.result_type().shape, value);
  }
  TRY(const double value, in.number(name));
  return full(in, in.result_type().dtype == DType::Bool ? value != 0 : value);
}

Lowered full_value(Lowering& in) { return filled_with(in, "fill_value"); }
Lowered fill_value(Lowering& in) { return filled_with(in, "value"); }
Lowered zeros(Lowering& in) { return full(in, 0); }
Lowered ones(Lowering& in) { return full(in, 1); }

Lowered scalar(Lowering& in) { return filled_with(in, "s"); }

// One bound of a range: an exact number, or a size.
struct Bound {
  std::optional<double> number;
  std::optional<int64_t> integer;
  Dim dim = 0;
};

Result<Bound> bound(Lowering& in, std::string_view name) {
  const torch::Arg& a = in.arg(name);
  if (const auto* f = a.as<double>()) return Bound{*f, std::nullopt, 0};
  TRY(const Dim d, in.dim(name));
  const auto value = known(in, d);
  return Bound{value ? std::optional(static_cast<double>(*value)) : std::nullopt, value, d};
}

// int32 first, first + step, ...; the length is torch's.
Lowered range_of_ints(Lowering& in, const Bound& first, int64_t step) {
  TRY(const Dim length, result_size(in, 0));
  if (first.integer && length.is_constant() && length.constant() <= kMostEntries) {
    if (std::abs(static_cast<double>(*first.integer)) > INT32_MAX || std::abs(static_cast<double>(step)) > INT32_MAX)
      return in.reject(DiagKind::UnsupportedDtype, "the range leaves 32 bits");
    std::vector<int64_t> values(static_cast<size_t>(length.constant()));
    for (size_t i = 0; i < values.size(); ++i) values[i] = *first.integer + static_cast<int64_t>(i) * step;
    for (int64_t v : values)
      if (v < INT32_MIN || v > INT32_MAX) return in.reject(DiagKind::UnsupportedDtype, fmt::format("the value {} does not fit 32 bits", v));
    return in.constant(values);
  }
  TRY(Operand values, counting(in, length));
  if (step != 1) {
    TRY(values, multiply(in, values, in.constant(static_cast<double>(step), DType::I32)));
  }
  if (first.integer == 0) return values;
  TRY(Operand offset, in.size(first.dim));
  return add(in, values, offset);
}

Lowered range(Lowering& in, bool has_start, bool has_step) {
  Bound first{0.0, 0, 0}, step{1.0, 1, 1};
  if (has_start) {
    TRY(first, bound(in, "start"));
  }
  if (has_step) {
    TRY(step, bound(in, "step"));
  }
  if (!step.number) return in.reject(DiagKind::UnsupportedArgument, "the step of the range is a dynamic size");
  TRY(const Dim length, result_size(in, 0));
  const bool integers = is_integer(in.result_type().dtype);
  if (!integers && !first.number && !step.integer)
    return in.reject(DiagKind::UnsupportedArgument, "the range starts at a dynamic size and its step is not an integer");
  if (integers || !first.number) {
    // torch computes integer ranges from truncated bounds.
    for (const Bound* b : {&first, &step})
      if (b->number && !(std::abs(*b->number) <= INT32_MAX)) return in.reject(DiagKind::UnsupportedDtype, "the range leaves 32 bits");
    if (!step.integer) step.integer = static_cast<int64_t>(*step.number);
    if (!first.integer && first.number) {
      first.integer = static_cast<int64_t>(*first.number);
      first.dim = in.dim_table().constant(*first.integer);
    }
    TRY(Results values, range_of_ints(in, first, *step.integer));
    if (integers) return values;
    return in.cast(values.operands[0], DType::F32);
  }
  if (length.is_constant() && length.constant() <= kMostEntries) {
    std::vector<float> values(static_cast<size_t>(length.constant()));
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(*first.number + static_cast<double>(i) * *step.number);
    return in.constant(Weight::floats(values));
  }
  TRY(Operand index, counting(in, length));
  TRY(Operand values, in.cast(index, DType::F32));
  if (*step.number != 1) {
    TRY(values, multiply(in, values, in.constant(*step.number, DType::F32)));
  }
  if (*first.number == 0) return values;
  return add(in, values, in.constant(*first.number, DType::F32));
}

// torch counts the second half from the end, so that both ends are exact.
std::vector<double> evenly_spaced(double start, double end, int64_t steps) {
  std::vector<double> out(static_cast<size_t>(steps));
  const double step = steps > 1 ? (end - start) / static_cast<double>(steps - 1) : 0;
  for (int64_t i = 0; i < steps; ++i)
    out[static_cast<size_t>(i)] = i < steps / 2 ? start + step * static_cast<double>(i) : end - step * static_cast<double>(steps - 1 - i);
  if (steps == 1) out[0] = start;
  return out;
}

Lowered table(Lowering& in, const std::vector<double>& values) {
  for (double v : values)
    if (is_integer(in.result_type().dtype) && !(std::abs(v) <= INT32_MAX)) return in.reject(DiagKind::UnsupportedDtype, "the values leave 32 bits");
  if (is_integer(in.result_type().dtype)) return in.constant(std::vector<int64_t>(values.begin(), values.end()));
  return in.constant(Weight::floats({values.begin(), values.end()}));
}

Result<double> constant_number(Lowering& in, std::string_view name) {
  if (!in.is_tensor(name)) return in.number(name);
  TRY(Operand o, in.tensor(name));
  const auto values = in.const_floats(o);
  if (!values || values->size() != 1) return in.reject(DiagKind::UnsupportedArgument, fmt::format("argument '{}' is known only at run time", name));
  return static_cast<double>((*values)[0]);
}

Lowered spaced(Lowering& in) {
  TRY(const double start, constant_number(in, "start"));
  TRY(const double end, constant_number(in, "end"));
  TRY(const int64_t steps, in.integer("steps"));
  if (steps < 0 || steps > kMostEntries) return in.reject(DiagKind::UnsupportedShape, fmt::format("a table of {} entries", steps));
  return table(in, evenly_spaced(start, end, steps));
}

Lowered log_spaced(Lowering& in) {
  TRY(const double start, constant_number(in, "start"));
  TRY(const double end, constant_number(in, "end"));
  TRY(const int64_t steps, in.integer("steps"));
  if (steps < 0 || steps > kMostEntries) return in.reject(DiagKind::UnsupportedShape, fmt::format("a table of {} entries", steps));
  TRY(const double base, in.number("base"));
  auto values = evenly_spaced(start, end, steps);
  for (double& v : values) v = std::pow(base, v);
  return table(in, values);
}

Lowered identity_matrix(Lowering& in) {
  const TensorType& type = in.result_type();
  TRY(const Dim rows, result_size(in, 0));
  TRY(const Dim columns, result_size(in, 1));
  TRY(Operand row, counting(in, rows));
  TRY(Operand column, counting(in, columns));
  TRY(row, in.unsqueeze(row, {1}));
  TRY(column, in.unsqueeze(column, {0}));
  TRY(Operand mask, in.op(mil_ops::equal, {{"x", row}, {"y", column}}));
  in.with_shape(mask, type.shape);
  return in.cast(mask, type.dtype == DType::Bool ? DType::Bool : run_time_dtype(in, type.shape, 1));
}

Lowered copied(Lowering& in) {
  TRY(Operand source, tensor_as_result(in, "src"));
  return in.expand(source, in.result_type().shape);
}

Lowered shape_tensor(Lowering& in) { return in.sizes(in.shape("self")); }

#define OPTIONS "*, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None"
#define LIKE OPTIONS ", MemoryFormat? memory_format=None) -> Tensor"

constexpr TorchOp kTable[] = {
    {.schema = "aten::full(SymInt[] size, Scalar fill_value, " OPTIONS ") -> Tensor", .lower = full_value,
     .samples = "[2,3] 1.5 -> f32[2,3]; [3] 7 dtype=i64 -> i64[3]; [] 2.0 -> f32[]; [2] True -> bool[2]"},
    {.schema = "aten::full_like(Tensor self, Scalar fill_value, " LIKE, .lower = full_value,
     .samples = "T[*] 1; N[3] 1.5 dtype=f32 -> f32[3]"},
    {.schema = "aten::new_full(Tensor self, SymInt[] size, Scalar fill_value, " OPTIONS ") -> Tensor", .lower = full_value,
     .decompose = decompositions::new_full, .edge = "aten.full.default",
     .samples = "F[2] [2,3] 1.5 -> F[2,3]; I[2] [3] 7 -> I[3]; F[n2] [2,3] 1.5 -> F[2,3]"},
    {.schema = "aten::fill.Scalar(Tensor self, Scalar value) -> Tensor", .lower = fill_value,
     .edge = "aten.full_like.default", .samples = "T[*] 1"},
    {.schema = "aten::fill.Tensor(Tensor self, Tensor value) -> Tensor", .lower = fill_value,
     .samples = "N[2,3] N[]; N[n2,m3] N[]"},
    {.schema = "aten::scalar_tensor(Scalar s, " OPTIONS ") -> Tensor", .lower = scalar,
     .samples = "1.5 -> f32[]; 2 dtype=i64 -> i64[]; True dtype=bool -> bool[]"},
    {.schema = "aten::zeros(SymInt[] size, " OPTIONS ") -> Tensor", .lower = zeros, .edge = "aten.full.default",
     .samples = "[2,3] -> f32[2,3]; [3] dtype=i64 -> i64[3]; [] dtype=bool -> bool[]"},
    {.schema = "aten::zeros_like(Tensor self, " LIKE, .lower = zeros, .decompose = decompositions::zeros_like,
     .edge = "aten.full_like.default", .samples = "T[*]"},
    {.schema = "aten::new_zeros(Tensor self, SymInt[] size, " OPTIONS ") -> Tensor", .lower = zeros,
     .decompose = decompositions::new_zeros, .edge = "aten.full.default",
     .samples = "T[2] [2,3] -> T[2,3]; T[n2] [2,3] -> T[2,3]"},
    {.schema = "aten::zero(Tensor self) -> Tensor", .lower = zeros,
     .decompose = decompositions::zeros_like, .edge = "aten.full_like.default", .samples = "T[*]"},
    {.schema = "aten::ones(SymInt[] size, " OPTIONS ") -> Tensor", .lower = ones, .edge = "aten.full.default",
     .samples = "[2,3] -> f32[2,3]; [3] dtype=i64 -> i64[3]; [] dtype=bool -> bool[]"},
    {.schema = "aten::ones_like(Tensor self, " LIKE, .lower = ones, .decompose = decompositions::ones_like,
     .edge = "aten.full_like.default", .samples = "T[*]"},
    {.schema = "aten::new_ones(Tensor self, SymInt[] size, " OPTIONS ") -> Tensor", .lower = ones,
     .decompose = decompositions::new_ones, .edge = "aten.full.default",
     .samples = "T[2] [2,3] -> T[2,3]; T[n2] [2,3] -> T[2,3]"},
    // Whoever reads memory that was never written may find zeros.
    {.schema = "aten::empty.memory_format(SymInt[] size, " LIKE, .lower = zeros,
     .samples = "[2,3] -> f32[2,3] ~; [3] dtype=i64 -> i64[3] ~"},
    {.schema = "aten::empty_like(Tensor self, " LIKE, .lower = zeros, .decompose = decompositions::zeros_like,
     .samples = "T[*] ~"},
    {.schema = "aten::new_empty(Tensor self, SymInt[] size, " OPTIONS ") -> Tensor", .lower = zeros,
     .decompose = decompositions::new_zeros, .samples = "T[2] [2,3] -> T[2,3] ~"},
    {.schema = "aten::new_empty_strided(Tensor self, SymInt[] size, SymInt[] stride, " OPTIONS ") -> Tensor", .lower = zeros,
     .samples = "T[2] [2,3] [3,1] -> T[2,3] ~"},
    {.schema = "aten::empty_permuted(SymInt[] size, int[] physical_layout, " OPTIONS ") -> Tensor", .lower = zeros,
     .decompose = decompositions::new_zeros, .samples = "[2,3] [0,1] -> f32[2,3] ~"},
    {.schema = "aten::empty_strided(SymInt[] size, SymInt[] stride, " OPTIONS ") -> Tensor", .lower = zeros,
     .decompose = decompositions::new_zeros, .samples = "[2,3] [3,1] -> f32[2,3] ~"},
    {.schema = "dim_order_ops::_empty_dim_order(int[] size, " OPTIONS ", int[]? dim_order=None) -> Tensor", .lower = zeros,
     .samples = "[2,3] dim_order=[0,1] -> f32[2,3] ~"},
    {.schema = "aten::arange(Scalar end, " OPTIONS ") -> Tensor", .lower = [](Lowering& in) { return range(in, false, false); },
     .edge = "aten.arange.start_step", .samples = "5 -> i64[5]; 2.5 -> f32[3]; 7 dtype=f32 -> f32[7]"},
    {.schema = "aten::arange.start(Scalar start, Scalar end, " OPTIONS ") -> Tensor", .lower = [](Lowering& in) { return range(in, true, false); },
     .edge = "aten.arange.start_step", .samples = "2 7 -> i64[5]; 0.5 3.0 -> f32[3]"},
    {.schema = "aten::arange.start_step(Scalar start, Scalar end, Scalar step=1, " OPTIONS ") -> Tensor",
     .lower = [](Lowering& in) { return range(in, true, true); }, .samples = "1 10 3 -> i64[3]; 3.0 0.0 -0.5 -> f32[6]"},
    {.schema = "aten::linspace(Scalar start, Scalar end, int steps, " OPTIONS ") -> Tensor", .lower = spaced,
     .decompose = decompositions::linspace,
     .samples = "0 1 5 -> f32[5]; -1.5 2.5 9 -> f32[9]; 0 10 3 dtype=i64 -> i64[3]"},
    {.schema = "aten::linspace.Tensor_Scalar(Tensor start, Scalar end, int steps, " OPTIONS ") -> Tensor", .lower = spaced,
     .samples = "const f32[]{-1} 1 5 -> f32[5]; f32[] 1 5 -> f32[5] !unsupported-argument"},
    {.schema = "aten::linspace.Scalar_Tensor(Scalar start, Tensor end, int steps, " OPTIONS ") -> Tensor", .lower = spaced,
     .samples = "0 const f32[]{2} 5 -> f32[5]; 0 f32[] 5 -> f32[5] !unsupported-argument"},
    {.schema = "aten::linspace.Tensor_Tensor(Tensor start, Tensor end, int steps, " OPTIONS ") -> Tensor", .lower = spaced,
     .samples = "const f32[]{-1} const f32[]{2} 5 -> f32[5]; f32[] f32[] 5 -> f32[5] !unsupported-argument"},
    {.schema = "aten::logspace(Scalar start, Scalar end, int steps, float base=10., " OPTIONS ") -> Tensor", .lower = log_spaced,
     .samples = "0 1 5 -> f32[5]; 0 2 3 2.0 -> f32[3]"},
    {.schema = "aten::eye(SymInt n, " OPTIONS ") -> Tensor", .lower = identity_matrix,
     .decompose = decompositions::eye, .samples = "4 -> f32[4,4]; 3 dtype=i64 -> i64[3,3]"},
    {.schema = "aten::eye.m(SymInt n, SymInt m, " OPTIONS ") -> Tensor", .lower = identity_matrix,
     .decompose = decompositions::eye, .samples = "2 4 -> f32[2,4]; 4 2 -> f32[4,2]"},
    {.schema = "aten::copy(Tensor self, Tensor src, bool non_blocking=False) -> Tensor", .lower = copied,
     .samples = "T[2,3] T[2,3]; F[2,3] I[3]; T[n2,m3] T[n2,m3]"},
    {.schema = "aten::_shape_as_tensor(Tensor self) -> Tensor", .lower = shape_tensor,
     .samples = "F[2,3] -> i64[2]; F[n4,3] -> i64[2]"},
};

#undef LIKE
#undef OPTIONS

}  // namespace

extern const std::span<const TorchOp> kCreationOps;
const std::span<const TorchOp> kCreationOps = kTable;

}  // namespace cortland::torch_ops
