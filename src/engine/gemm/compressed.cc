#include "engine/gemm/compressed.h"

#include <algorithm>
#include <cmath>

#include "mil_ops/packed.h"

namespace cortland::engine::gemm {
namespace {

using mil::Tensor;
using Shape = std::vector<int64_t>;

// An integer type of int8() or table().
bool is_code(DType t) { return t == DType::I8 || t == DType::U8 || t == DType::I4 || t == DType::U4; }

// What the codes of 4 bits mean.
std::vector<float> integers(DType t) {
  std::vector<float> values(16);
  for (int i = 0; i < 16; ++i) values[static_cast<size_t>(i)] = static_cast<float>(t == DType::I4 && i >= 8 ? i - 16 : i);
  return values;
}

std::optional<PackedMatrix> pack_codes(const Tensor& data, const MatrixLayout& layout, const BlockQuantization& q) {
  if (!is_code(data.dtype) || !PackedMatrix::fits(layout, q)) return std::nullopt;
  if (bit_width(data.dtype) == 8) return PackedMatrix::int8(data, layout, q);
  return PackedMatrix::table(data.data<uint8_t>(), 4, layout, integers(data.dtype), q);
}

// scale * (quantized_data - zero_point), both for one index of `axis` or for all.
std::optional<PackedMatrix> pack_affine(const Expression& e, bool transposed) {
  const Tensor &data = *e.tensor("quantized_data"), &scale = *e.tensor("scale"), &zero = *e.tensor("zero_point");
  if (data.rank() != 2) return std::nullopt;
  int64_t axis = e.tensor("axis")->ints()[0];
  if (axis < 0) axis += 2;
  if (axis != 0 && axis != 1) return std::nullopt;
  const bool single = scale.elements() == 1 && zero.elements() == 1;
  const auto layout = MatrixLayout::of(data.shape, transposed);
  if (!single && (axis == 0) != transposed) return std::nullopt;  // one scale for each row of the product
  BlockQuantization q{scale, zero.floats(), single ? MatrixLayout{1, 1, 1, 1} : MatrixLayout{1, layout.n, layout.n, 1}};
  const auto count = static_cast<size_t>(q.layout.n);
  if (q.zero.size() == 1) q.zero.resize(count, q.zero[0]);
  if (scale.elements() == 1 && !single)
    q.scale = Tensor::from(scale.dtype, {layout.n}, std::vector<float>(count, scale.floats()[0]));
  return pack_codes(data, layout, q);
}

// scale * (data - offset), for blocks.
std::optional<PackedMatrix> pack_blockwise(const Expression& e, bool transposed) {
  const Tensor &data = *e.tensor("data"), &scale = *e.tensor("scale"), *offset = e.tensor("offset");
  if (data.rank() != 2 || scale.rank() != 2 || (offset && offset->shape != scale.shape)) return std::nullopt;
  BlockQuantization q{scale, offset ? mil_ops::unpack_floats(*offset) : std::vector<float>(),
                      MatrixLayout::of(scale.shape, transposed)};
  return pack_codes(data, MatrixLayout::of(data.shape, transposed), q);
}

// Tables of up to 16 finite values, filled up to 16.
std::optional<std::vector<float>> tables_of(const Tensor& lut, int64_t groups) {
  const auto values = mil_ops::unpack_floats(lut);
  const auto entries = static_cast<int64_t>(values.size()) / std::max<int64_t>(groups, 1);
  if (entries < 1 || entries > 16) return std::nullopt;
  if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); })) return std::nullopt;
  std::vector<float> tables(static_cast<size_t>(groups * 16));
  for (int64_t g = 0; g < groups; ++g) std::copy_n(values.begin() + g * entries, entries, tables.begin() + g * 16);
  return tables;
}

// iOS16: one table, fields of bits in a byte vector.
std::optional<PackedMatrix> pack_palette(const Expression& e, bool transposed) {
  const Tensor &indices = *e.tensor("indices"), &lut = *e.tensor("lut");
  const Shape shape = e.tensor("shape")->ints();
  const auto tables = tables_of(lut, 1);
  if (!tables || shape.size() != 2 || !is_float(lut.dtype)) return std::nullopt;
  const int bits = lut.elements() == 2 ? 1 : lut.elements() == 4 ? 2 : 4;
  if (lut.elements() != int64_t{1} << bits || indices.elements() != (shape[0] * shape[1] * bits + 7) / 8)
    return std::nullopt;
  return PackedMatrix::table(indices.data<uint8_t>(), bits, MatrixLayout::of(shape, transposed), *tables, {});
}

// iOS18: lut[groups, groups, 2^bits, 1].
std::optional<PackedMatrix> pack_grouped_palette(const Expression& e, bool transposed) {
  const Tensor &indices = *e.tensor("indices"), &lut = *e.tensor("lut");
  if (indices.rank() != 2 || lut.rank() != 4 || lut.dim(3) != 1 || !is_float(lut.dtype)) return std::nullopt;
  const auto layout = MatrixLayout::of(indices.shape, transposed);
  const int64_t of_n = lut.dim(transposed ? 0 : 1), of_k = lut.dim(transposed ? 1 : 0);
  const int bits = bit_width(indices.dtype);
  if (bits > 4 || of_k != 1 || of_n < 1 || lut.dim(2) != int64_t{1} << bits) return std::nullopt;
  if (of_n > 1 && (layout.n % of_n || layout.n / of_n % 16)) return std::nullopt;
  const auto tables = tables_of(lut, of_n);
  if (!tables) return std::nullopt;
  return PackedMatrix::table(indices.data<uint8_t>(), bits, layout, *tables, {});
}

std::optional<PackedMatrix> pack_cast(const Expression& e, bool transposed) {
  const Tensor& source = *e.tensor("source_val");
  if (source.rank() != 2 || source.dtype != DType::F16) return std::nullopt;
  return PackedMatrix::floats(source, MatrixLayout::of(source.shape, transposed));
}

}  // namespace

std::optional<PackedMatrix> pack_compressed(const Site& site, std::string_view input, bool transposed) {
  const Expression* e = site.expression(input);
  if (!e || e->result_types[0].rank() != 2) return std::nullopt;
  for (size_t slot = 0; slot < e->arguments.size(); ++slot)
    if (e->arguments[slot].empty() && e->op->inputs[slot].need != mil::Need::Optional) return std::nullopt;
  const std::string_view name = e->op->name;
  if (name == "constexpr_affine_dequantize") return pack_affine(*e, transposed);
  if (name == "constexpr_blockwise_shift_scale") return pack_blockwise(*e, transposed);
  if (name == "constexpr_cast") return pack_cast(*e, transposed);
  if (name != "constexpr_lut_to_dense") return std::nullopt;
  return e->tensor("shape") ? pack_palette(*e, transposed) : pack_grouped_palette(*e, transposed);
}

}  // namespace cortland::engine::gemm
