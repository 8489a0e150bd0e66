// Mixtures of experts: products in which each group of rows has a weight of its own, and how many rows each group has. Taken
// apart for Core ML and the CPU alike.
#include "torch_ops/decompose.h"
#include "torch_ops/op.h"
#include "torch_ops/steps.h"

namespace cortland::torch_ops {
namespace {

using V = Steps::V;

// Rows offsets[g - 1] to offsets[g] of `x` [rows, in] times weight[g] [in, out]; rows behind the last offset give 0. Every
// expert sees every row, since the number of rows it is for is known only at run time.
V grouped_product(Steps& s, V x, V weight, V offsets) {
  const Dim groups = s.size_of(weight, 0), rows = s.size_of(x, 0), in = s.size_of(x, 1), out = s.size_of(weight, 2);
  const V y = s.bmm(s.expand(s.unsqueeze(x, 0), {groups, rows, in}), weight);
  // Row r is for the expert g with offsets[g - 1] <= r < offsets[g].
  const V row = s.view(s.range(rows), {1, rows, 1});
  const V end = s.view(s.cast(offsets, DType::I64), {groups, 1, 1});
  const V before = s.compare("lt", row, end);
  V mine = before;
  if (groups != Dim(1)) {
    const V earlier = s.slice(before, 0, 0, s.number_of(weight, 0) - 1);
    const V none = s.full({1, rows, 1}, false, DType::Bool);
    mine = s.both(before, s.negate(s.cat({none, earlier}, 0)));
  }
  const V kept = s.where(mine, y, 0.0, s.dtype(y));
  return s.view(s.reduce("sum", kept, {0}, false), {rows, out});
}

Status grouped_mm_fallback(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("input"), weight = d.tensor("weight"), offsets = d.tensor("offs");
  if (s.rank(x) != 2 || s.rank(weight) != 3 || s.rank(offsets) != 1 || !s.size_of(weight, 0).is_constant())
    return d.reject("only a matrix times a stack of matrices is supported");
  return s.give(grouped_product(s, x, weight, offsets));
}

Status grouped_mm(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self"), weight = d.tensor("mat2"), offsets = d.tensor("offs");
  V y;
  if (s.rank(x) == 3 && s.rank(weight) == 3) {
    y = s.bmm(x, weight);
  } else if (s.rank(x) == 2 && s.rank(weight) == 3 && offsets && s.size_of(weight, 0).is_constant()) {
    y = grouped_product(s, x, weight, offsets);
  } else {
    return d.reject("only a matrix, or a stack of matrices, times a stack of matrices is supported");
  }
  if (const V bias = d.tensor("bias")) y = s.add(y, bias);
  return s.give(y);
}

// How many elements lie in each of `bins` intervals of equal width.
Status histc(Decomposition& d) {
  Steps s(d);
  V x = d.tensor("self");
  const auto bins = d.has("bins") ? d.integer("bins") : int64_t{100};
  double low = d.number("min").value_or(0), high = d.number("max").value_or(0);
  constexpr int64_t kMostBins = 1 << 16;
  if (!bins || *bins < 1 || *bins > kMostBins) return d.reject("the number of bins must be known, and not be large");
  if (low == high) return d.reject("bounds that come from the data are not supported");
  x = s.view(x, {s.product(s.shape(x))});
  if (!is_float(s.dtype(x))) x = s.cast(x, DType::F32);
  const double count = static_cast<double>(*bins);
  V place = s.unary("floor", s.mul(s.div(s.sub(x, low), high - low), count));
  // The upper bound itself belongs to the last interval.
  place = s.where(s.compare("eq", x, high), count - 1, place, s.dtype(place));
  std::vector<float> numbers;
  for (int64_t i = 0; i < *bins; ++i) numbers.push_back(static_cast<float>(i));
  const V here = s.compare("eq", s.unsqueeze(place, 1), s.floats({1, *bins}, numbers, s.dtype(place)));
  return s.give(s.reduce("sum", s.cast(here, s.dtype(place)), {0}, false));
}

constexpr TorchOp kTable[] = {
    {.schema = "aten::_grouped_mm(Tensor self, Tensor mat2, Tensor? offs=None, Tensor? bias=None, ScalarType? "
               "out_dtype=None) -> Tensor",
     .decompose = grouped_mm, .samples = "bf16[16,8] bf16[2,8,16] i32[2]{6,16} -> bf16[16,16]"},
    {.schema = "aten::histc(Tensor self, int bins=100, Scalar min=0, Scalar max=0) -> Tensor", .decompose = histc,
     .samples = "f32[6]{0.5,1.5,1.2,3,4,0} 4 0 4 -> f32[4]; f32[n6]{0.2..3.8} 4 0 4 -> f32[4]"},
    {.schema = "transformers::grouped_mm_fallback(Tensor input, Tensor weight, Tensor offs) -> Tensor",
     .decompose = grouped_mm_fallback,
     .samples = "f32[6,8] f32[2,8,4] i32[2]{2,6} -> f32[6,4]"},
};

}  // namespace

extern const std::span<const TorchOp> kExpertOps;
const std::span<const TorchOp> kExpertOps = kTable;

}  // namespace cortland::torch_ops
