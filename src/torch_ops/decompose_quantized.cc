// Quantisation by blocks (torchao), in terms of plain arithmetic.
#include <algorithm>
#include <limits>

#include "torch_ops/decompose_quantized.h"
#include "torch_ops/steps.h"

namespace cortland::torch_ops::decompositions {

using V = Steps::V;

// A tensor cut into blocks: an axis that has several is two, the number of blocks and the size of one. Shapes of scales have ones for
// what lies inside of blocks.
struct Blocks {
  Shape cut, scales;
  std::vector<int64_t> inside;  // axes of `cut` that lie inside of blocks

  void add_axis(Dim size, Dim scale) {
    cut.push_back(size);
    scales.push_back(scale);
  }
  void add_inside(Dim size) {
    inside.push_back(static_cast<int64_t>(cut.size()));
    add_axis(size, 1);
  }
};

static std::optional<Blocks> blocks_of(Steps& s, const Shape& shape) {
  const auto* sizes = s.d.arg("block_size").as<torch::Arg::List>();
  if (!sizes || sizes->size() != shape.size()) return std::nullopt;
  Blocks b;
  for (size_t i = 0; i < shape.size(); ++i) {
    const auto* number = (*sizes)[i].as<int64_t>();
    const auto* symbol = (*sizes)[i].as<V>();
    const Dim size = number && *number > 0 ? Dim(*number)
                     : number              ? shape[i]
                     : symbol && *symbol   ? s.d.graph().values[*symbol].sym
                                           : shape[i];
    const bool alone = size == Dim(1), whole = !alone && size == shape[i];
    Dim count = alone ? shape[i] : Dim(1);
    if (!alone && !whole) {
      if (!size.is_constant() || !shape[i].is_constant() || shape[i].constant() % size.constant() != 0) return std::nullopt;
      count = shape[i].constant() / size.constant();
    }
    if (!whole) b.add_axis(count, count);
    if (!alone) b.add_inside(size);
  }
  if (b.inside.empty()) b.add_inside(1);
  return b;
}

// The numbers a quantised value may be, by default those of its type.
struct Range {
  double low = 0, high = 0;
};

static Range range_of(Decomposition& d, DType type) {
  const bool is_signed = type == DType::I8 || type == DType::I16 || type == DType::I32;
  const int bits = type == DType::I16 ? 16 : type == DType::I32 ? 32 : 8;
  const double span = static_cast<double>(int64_t{1} << bits);
  const Range own = is_signed ? Range{-span / 2, span / 2 - 1} : Range{0, span - 1};
  return {d.number("quant_min").value_or(own.low), d.number("quant_max").value_or(own.high)};
}

static V zero_point(Steps& s, const Blocks& b, DType type) {
  const V zero = s.d.tensor("zero_point");
  if (!zero || s.type(zero).elements() == 0) return {};
  return s.cast(s.view(zero, b.scales), type);
}

Status dequantize_affine(Decomposition& d) {
  Steps s(d);
  const V q = d.tensor("input"), scale = d.tensor("scale");
  const auto b = blocks_of(s, s.shape(q));
  if (!b || !scale) return d.reject("the blocks do not divide the tensor");
  V x = s.cast(s.view(q, b->cut), DType::F32);
  if (const V zero = zero_point(s, *b, DType::F32)) x = s.sub(x, zero);
  x = s.mul(x, s.cast(s.view(scale, b->scales), DType::F32));
  return s.give(s.view(x, s.shape(q)));
}

Status quantize_affine(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("input"), scale = d.tensor("scale");
  const auto b = blocks_of(s, s.shape(x));
  if (!b || !scale) return d.reject("the blocks do not divide the tensor");
  const Range range = range_of(d, d.result_type().dtype);
  const V inverse = s.unary("reciprocal", s.cast(s.view(scale, b->scales), DType::F32));
  V q = s.unary("round", s.mul(s.cast(s.view(x, b->cut), DType::F32), inverse));
  if (const V zero = zero_point(s, *b, DType::F32)) q = s.add(q, zero);
  return s.give(s.view(s.clamp(q, range.low, range.high), s.shape(x)));
}

Status choose_qparams_affine(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("input");
  const auto b = blocks_of(s, s.shape(x));
  const auto* target = d.arg("target_dtype").as<DType>();
  if (!b || !target || !is_float(s.dtype(x))) return d.reject("the blocks do not divide the tensor");
  const Range range = range_of(d, *target);
  const std::string mapping = d.str("mapping_type");
  const double smallest =
      s.dtype(x) == DType::F16 ? 6.103515625e-05 : static_cast<double>(std::numeric_limits<float>::min());
  const double eps = d.number("eps").value_or(smallest);
  const V cut = s.view(x, b->cut);
  const V zero = s.number(0, s.dtype(x));
  const V low = s.minimum(s.extreme("amin", cut, b->inside, true), zero),
          high = s.maximum(s.extreme("amax", cut, b->inside, true), zero);
  V scale, offset;
  if (mapping == "SYMMETRIC") {
    scale = s.div(s.maximum(s.unary("neg", low), high), (range.high - range.low) / 2);
  } else if (mapping == "SYMMETRIC_NO_CLIPPING_ERR") {
    if (range.low == 0 || range.high == 0) return d.reject("a symmetric range has numbers on both sides of 0");
    scale = s.maximum(s.div(low, range.low), s.div(high, range.high));
  } else if (mapping == "ASYMMETRIC") {
    scale = s.div(s.sub(high, low), range.high - range.low);
  } else {
    return d.reject("there is no such mapping_type");
  }
  scale = s.clamp(scale, eps, {});
  if (mapping == "ASYMMETRIC") {
    const V steps = s.unary("round", s.div(low, scale));
    offset = s.clamp(s.add(s.unary("neg", steps), range.low), range.low, range.high);
  } else {
    offset =
        s.full(s.shape(scale), static_cast<double>(static_cast<int64_t>((range.high + range.low + 1) / 2)), s.dtype(scale));
  }
  TRY_DO(s.give(0, s.view(scale, d.result_type(0).shape)));
  return s.give(1, s.view(offset, d.result_type(1).shape));
}

Status int_mm(Decomposition& d) {
  Steps s(d);
  return s.give(s.mm(s.cast(d.tensor("self"), DType::F32), s.cast(d.tensor("mat2"), DType::F32)));
}

// Each code picks a number from the table of its block.
Status dequantize_codebook(Decomposition& d) {
  Steps s(d);
  const V codes = d.tensor("codes"), table = d.tensor("codebook");
  const int rank = s.rank(codes);
  if (!codes || !table || s.rank(table) != rank + 2)
    return d.reject("the codebook is not a table of numbers for each block");
  if (!s.type(codes).is_static() || !s.type(table).is_static() || s.shape(table).back() != Dim(1))
    return d.reject("only tables of numbers, of known size, are supported");
  // Tables of all blocks one after the other; each code gets the start of its own.
  const int64_t entries = s.number_of(table, rank);
  std::vector<int64_t> shape, groups, starts;
  int64_t count = 1;
  for (int i = 0; i < rank; ++i) {
    shape.push_back(s.number_of(codes, i));
    groups.push_back(s.number_of(table, i));
    if (groups.back() < 1 || shape.back() % groups.back() != 0) return d.reject("the blocks do not divide the codes");
    count *= shape.back();
  }
  constexpr int64_t kMostCodes = int64_t{1} << 26;
  if (count > kMostCodes) return d.reject("there are too many codes");
  bool one = true;
  for (const int64_t g : groups) one = one && g == 1;
  V index = s.cast(codes, DType::I64);
  if (!one) {
    for (int64_t i = 0; i < count; ++i) {
      int64_t rest = i, block = 0, stride = 1;
      for (size_t k = shape.size(); k-- > 0; rest /= shape[k]) {
        block += rest % shape[k] / (shape[k] / groups[k]) * stride;
        stride *= groups[k];
      }
      starts.push_back(block * entries);
    }
    index = s.add(index, s.ints(shape, starts));
  }
  const Dim all = s.product(s.shape(table));
  const V flat = d.op("aten.index_select.default",
                      {{"self", s.view(table, {all})}, {"dim", int64_t{0}}, {"index", s.view(index, {count})}},
                      {s.dtype(table), {count}});
  return s.give(s.view(flat, s.shape(codes)));
}

}  // namespace cortland::torch_ops::decompositions
