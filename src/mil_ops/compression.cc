// Compressed constants as iOS18 has them: narrow element types, scales and tables for blocks, sparse tensors as a mask
// and the values where it is 1.
#include <algorithm>
#include <cstring>

#include "mil_ops/arguments.h"
#include "mil_ops/ops.h"
#include "mil_ops/packed.h"

namespace cortland::mil_ops {
namespace {

using namespace mil;

// `groups` divides `data` along every axis.
template <class Context>
Status check_blocks(const Context& c, const DimTable& dims, const Shape& data, const Shape& groups) {
  bool fits = !data.empty() && groups.size() == data.size();
  for (size_t i = 0; fits && i < data.size(); ++i)
    fits = !data[i].is_constant() || !groups[i].is_constant() ||
           (groups[i].constant() > 0 && data[i].constant() % groups[i].constant() == 0);
  if (fits) return {};
  return c.error(fmt::format("blocks {} do not divide data {}", describe(dims, groups), describe(dims, data)));
}

// Calls f(first element, count, group) for each run of elements that are neighbours in memory and of one group.
template <class F>
void for_each_block(const std::vector<int64_t>& data, const std::vector<int64_t>& groups, const F& f) {
  const size_t rank = data.size();
  const int64_t row = data[rank - 1], block = groups[rank - 1] ? row / groups[rank - 1] : 0;
  if (product(data, 0, rank) == 0) return;
  std::vector<int64_t> index(rank, 0);
  for (int64_t first = 0;; first += row) {
    int64_t group = 0;
    for (size_t i = 0; i < rank; ++i) group = group * groups[i] + index[i] / (data[i] / groups[i]);
    for (int64_t k = 0; k < row; k += block) f(first + k, block, group + k / block);
    size_t axis = rank - 1;
    while (axis-- > 0) {
      if (++index[axis] < data[axis]) break;
      index[axis] = 0;
    }
    if (axis == SIZE_MAX) return;
  }
}

template <class Context>
Status check_shift_scale(const Context& c, const DimTable& dims, const Shape& data) {
  const Shape scale = shape_of_input(c, "scale");
  TRY_DO(check_blocks(c, dims, data, scale));
  if (c.has("offset") && !compatible(dims, shape_of_input(c, "offset"), scale))
    return c.error(fmt::format("'offset' has shape {}, 'scale' has {}", describe(dims, shape_of_input(c, "offset")),
                               describe(dims, scale)));
  return {};
}

Status check_offset_type(const InferContext& c, std::string_view data) {
  if (c.has("offset") && !is_float(c.dtype("offset")) && c.dtype("offset") != c.dtype(data))
    return c.error("an integer 'offset' must have the type of the data");
  return {};
}

std::vector<float> offsets_of(const EvalContext& c) {
  return c.has("offset") ? unpack_floats(c.tensor("offset"))
                         : std::vector<float>(static_cast<size_t>(c.tensor("scale").elements()), 0.0f);
}

Types infer_shift_scale(InferContext& c) {
  TRY_DO(check_shift_scale(c, c.dims, c.shape("data")));
  TRY_DO(check_offset_type(c, "data"));
  return one({c.dtype("scale"), c.shape("data")});
}

// scale * (data - offset)
Status eval_shift_scale(EvalContext& c) {
  const Tensor& data = c.tensor("data");
  TRY_DO(check_shift_scale(c, DimTable(), shape_of(data.shape)));
  const auto values = unpack_floats(data), scale = c.floats("scale"), offset = offsets_of(c);
  Tensor out = Tensor::make(DType::F32, data.shape);
  float* to = out.mutable_data<float>();
  for_each_block(data.shape, c.tensor("scale").shape, [&](int64_t first, int64_t count, int64_t group) {
    const float s = scale[static_cast<size_t>(group)], z = offset[static_cast<size_t>(group)];
    for (int64_t i = first; i < first + count; ++i) to[i] = s * (values[static_cast<size_t>(i)] - z);
  });
  c.set_output(0, out.cast(c.tensor("scale").dtype));
  return {};
}

// A palette lut[*groups, 2^bits, vector]: each index stands for `vector` elements along `vector_axis`.
struct Palette {
  Shape out;
  int64_t vector = 1;
  size_t axis = 0;
};

template <class Context>
Result<Palette> palette(const Context& c, DimTable& dims, const Shape& indices, DType type) {
  const Shape lut = shape_of_input(c, "lut");
  if (indices.empty() || lut.size() != indices.size() + 2)
    return c.error(
        fmt::format("'lut' {} has not two axes more than the indices {}", describe(dims, lut), describe(dims, indices)));
  TRY_DO(check_blocks(c, dims, indices, Shape(lut.begin(), lut.end() - 2)));
  if (!lut[lut.size() - 1].is_constant() || !compatible(dims, lut[lut.size() - 2], int64_t{1} << bit_width(type)))
    return c.error(fmt::format("'lut' {} does not hold 2^{} entries", describe(dims, lut), bit_width(type)));
  Palette p{indices, lut.back().constant(), 0};
  if (p.vector < 1) return c.error("the vectors of 'lut' are empty");
  if (!c.has("vector_axis"))
    return p.vector == 1 ? Result<Palette>(p) : Result<Palette>(c.error("vectors need 'vector_axis'"));
  if (!is_known(c, "vector_axis")) return c.error("'vector_axis' must be a plain constant");
  TRY(p.axis, axis_in(c, c.integer("vector_axis"), static_cast<int>(indices.size())));
  p.out[p.axis] = dims.mul(p.out[p.axis], p.vector);
  return p;
}

// Where element v of the vector of index i lies in the expanded tensor.
class Expansion {
 public:
  Expansion(const std::vector<int64_t>& indices, const Palette& p)
      : vector_(p.vector), inner_(product(indices, p.axis + 1, indices.size())) {}
  int64_t at(int64_t i, int64_t v) const { return (i / inner_ * vector_ + v) * inner_ + i % inner_; }

 private:
  int64_t vector_, inner_;
};

// Looks every index up; `out` holds the expanded tensor in the palette's type.
void look_up(const Tensor& lut, const std::vector<int64_t>& shape, const std::vector<uint8_t>& indices, const Palette& p,
             Tensor& out) {
  const std::vector<int64_t> groups(lut.shape.begin(), lut.shape.end() - 2);
  const auto bytes = static_cast<size_t>(byte_size(lut.dtype, 1));
  const size_t entries = static_cast<size_t>(lut.dim(-2)), vector = static_cast<size_t>(p.vector);
  const Expansion expansion(shape, p);
  for_each_block(shape, groups, [&](int64_t first, int64_t count, int64_t group) {
    const std::byte* table = lut.data() + static_cast<size_t>(group) * entries * vector * bytes;
    for (int64_t i = first; i < first + count; ++i) {
      const std::byte* entry = table + indices[static_cast<size_t>(i)] * vector * bytes;
      if (vector == 1) {
        std::memcpy(out.mutable_data() + static_cast<size_t>(i) * bytes, entry, bytes);
      } else {
        for (int64_t v = 0; v < p.vector; ++v)
          std::memcpy(out.mutable_data() + static_cast<size_t>(expansion.at(i, v)) * bytes,
                      entry + static_cast<size_t>(v) * bytes, bytes);
      }
    }
  });
}

Types infer_lut_to_dense(InferContext& c) {
  TRY(const Palette p, palette(c, c.dims, c.shape("indices"), c.dtype("indices")));
  return one({c.dtype("lut"), p.out});
}

Status eval_lut_to_dense(EvalContext& c) {
  DimTable dims;
  const Tensor& indices = c.tensor("indices");
  TRY(const Palette p, palette(c, dims, shape_of(indices.shape), indices.dtype));
  look_up(c.tensor("lut"), indices.shape, unpack(indices), p, c.output(0, sizes(p.out), c.tensor("lut").dtype));
  return {};
}

// The mask's elements; there must be a one for each of `values`.
Result<std::vector<uint8_t>> mask_bits(const EvalContext& c, std::string_view mask, std::string_view values) {
  auto bits = unpack(c.tensor(mask));
  const auto ones = std::count(bits.begin(), bits.end(), 1);
  if (c.tensor(values).rank() != 1 || ones != c.tensor(values).elements())
    return c.error(fmt::format("'{}' has {} ones for {} values", mask, ones, c.tensor(values).elements()));
  return bits;
}

Types infer_sparse_to_dense(InferContext& c) {
  TRY_DO(expect_rank(c, "nonzero_data", 1, 1));
  return one({c.dtype("nonzero_data"), c.shape("mask")});
}

Status eval_sparse_to_dense(EvalContext& c) {
  TRY(const auto bits, mask_bits(c, "mask", "nonzero_data"));
  const Tensor& data = c.tensor("nonzero_data");
  const bool narrow = bit_width(data.dtype) < 8;
  const auto elements = narrow ? unpack(data) : std::vector<uint8_t>();
  const std::byte* from = narrow ? reinterpret_cast<const std::byte*>(elements.data()) : data.data();
  const size_t bytes = narrow ? 1 : static_cast<size_t>(byte_size(data.dtype, 1));
  std::vector<uint8_t> dense(bits.size() * bytes, 0);
  for (size_t i = 0; i < bits.size(); ++i) {
    if (!bits[i]) continue;
    std::memcpy(dense.data() + i * bytes, from, bytes);
    from += bytes;
  }
  const auto shape = c.tensor("mask").shape;
  if (narrow) {
    c.set_output(0, pack(data.dtype, shape, dense));
  } else {
    Tensor& out = c.output(0, shape, data.dtype);
    if (!dense.empty()) std::memcpy(out.mutable_data(), dense.data(), dense.size());
  }
  return {};
}

Types infer_lut_to_sparse(InferContext& c) {
  TRY_DO(expect_rank(c, "indices_nonzero_data", 1, 1));
  TRY(const Palette p, palette(c, c.dims, c.shape("indices_mask"), c.dtype("indices_nonzero_data")));
  return std::vector<Type>{{DType::U1, p.out}, {c.dtype("lut"), {c.dims.mul(c.shape("indices_nonzero_data")[0], p.vector)}}};
}

// Looks the indices up as if they were dense, then keeps what the expanded mask keeps.
Status eval_lut_to_sparse(EvalContext& c) {
  DimTable dims;
  const Tensor &mask = c.tensor("indices_mask"), &lut = c.tensor("lut");
  TRY(const auto bits, mask_bits(c, "indices_mask", "indices_nonzero_data"));
  TRY(const Palette p, palette(c, dims, shape_of(mask.shape), c.tensor("indices_nonzero_data").dtype));
  const auto packed = unpack(c.tensor("indices_nonzero_data"));
  std::vector<uint8_t> indices(bits.size(), 0), expanded(bits.size() * static_cast<size_t>(p.vector), 0);
  const Expansion expansion(mask.shape, p);
  for (size_t i = 0, k = 0; i < bits.size(); ++i) {
    if (!bits[i]) continue;
    indices[i] = packed[k++];
    for (int64_t v = 0; v < p.vector; ++v) expanded[static_cast<size_t>(expansion.at(static_cast<int64_t>(i), v))] = 1;
  }
  Tensor dense = Tensor::make(lut.dtype, sizes(p.out));
  look_up(lut, mask.shape, indices, p, dense);
  c.set_output(0, pack(DType::U1, dense.shape, expanded));
  Tensor& out = c.output(1, {static_cast<int64_t>(packed.size()) * p.vector}, lut.dtype);
  const auto bytes = static_cast<size_t>(byte_size(lut.dtype, 1));
  std::byte* to = out.mutable_data();
  for (size_t i = 0; i < expanded.size(); ++i) {
    if (!expanded[i]) continue;
    std::memcpy(to, dense.data() + i * bytes, bytes);
    to += bytes;
  }
  return {};
}

Types infer_sparse_shift_scale(InferContext& c) {
  TRY_DO(expect_rank(c, "nonzero_data", 1, 1));
  TRY_DO(check_shift_scale(c, c.dims, c.shape("data_mask")));
  TRY_DO(check_offset_type(c, "nonzero_data"));
  return std::vector<Type>{{DType::U1, c.shape("data_mask")}, {c.dtype("scale"), c.shape("nonzero_data")}};
}

Status eval_sparse_shift_scale(EvalContext& c) {
  const Tensor& mask = c.tensor("data_mask");
  TRY_DO(check_shift_scale(c, DimTable(), shape_of(mask.shape)));
  TRY(const auto bits, mask_bits(c, "data_mask", "nonzero_data"));
  auto values = unpack_floats(c.tensor("nonzero_data"));
  const auto scale = c.floats("scale"), offset = offsets_of(c);
  size_t k = 0;
  for_each_block(mask.shape, c.tensor("scale").shape, [&](int64_t first, int64_t count, int64_t group) {
    for (int64_t i = first; i < first + count; ++i) {
      if (!bits[static_cast<size_t>(i)]) continue;
      values[k] = scale[static_cast<size_t>(group)] * (values[k] - offset[static_cast<size_t>(group)]);
      ++k;
    }
  });
  c.set_output(0, mask);
  c.set_output(1, Tensor::from(c.tensor("scale").dtype, c.tensor("nonzero_data").shape, values));
  return {};
}

constexpr DTypes kQuantised = one_of({DType::I4, DType::U4, DType::I8, DType::U8, DType::F16, DType::F32});
constexpr DTypes kIndices = one_of({DType::U1, DType::U2, DType::U3, DType::U4, DType::U6, DType::U8});
constexpr DTypes kPalette = one_of({DType::I8, DType::U8, DType::F16, DType::F32}), kU1 = one_of({DType::U1});
constexpr Input kShiftScale[] = {constant("data", kQuantised), constant("scale", kFloats), option("offset", kQuantised)};
constexpr Input kLutToDense[] = {constant("indices", kIndices), constant("lut", kPalette), option("vector_axis", kInt32)};
constexpr Input kSparseToDense[] = {constant("nonzero_data", kQuantised), constant("mask", kU1)};
constexpr Input kLutToSparse[] = {constant("indices_mask", kU1), constant("indices_nonzero_data", kIndices),
                                  constant("lut", kPalette), option("vector_axis", kInt32)};
constexpr Input kSparseShiftScale[] = {constant("data_mask", kU1), constant("nonzero_data", kQuantised),
                                       constant("scale", kFloats), option("offset", kQuantised)};

constexpr MilOp make(std::string_view name, std::span<const Input> inputs, Types (*infer)(InferContext&),
                     Status (*eval)(EvalContext&)) {
  return {.name = name, .since = Target::iOS18, .inputs = inputs, .infer = infer, .eval = eval, .constexpr_op = true};
}

}  // namespace

const MilOp constexpr_blockwise_shift_scale =
    make("constexpr_blockwise_shift_scale", kShiftScale, infer_shift_scale, eval_shift_scale);
const MilOp constexpr_lut_to_dense_ios18 =
    make("constexpr_lut_to_dense", kLutToDense, infer_lut_to_dense, eval_lut_to_dense);
const MilOp constexpr_lut_to_sparse = make("constexpr_lut_to_sparse", kLutToSparse, infer_lut_to_sparse, eval_lut_to_sparse);
const MilOp constexpr_sparse_blockwise_shift_scale =
    make("constexpr_sparse_blockwise_shift_scale", kSparseShiftScale, infer_sparse_shift_scale, eval_sparse_shift_scale);
const MilOp constexpr_sparse_to_dense_ios18 =
    make("constexpr_sparse_to_dense", kSparseToDense, infer_sparse_to_dense, eval_sparse_to_dense);

}  // namespace cortland::mil_ops
