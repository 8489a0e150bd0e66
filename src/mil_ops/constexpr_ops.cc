// Compressed constants as iOS16 has them: bit fields in byte vectors, the shape beside them.
#include <algorithm>
#include <bit>

#include "mil_ops/arguments.h"
#include "mil_ops/ops.h"
#include "mil_ops/packed.h"

namespace cortland::mil_ops {
namespace {

using namespace mil;

template <class Context>
Status check_affine(const Context& c, const DimTable& dims) {
  const Shape data = shape_of_input(c, "quantized_data");
  if (!is_known(c, "axis")) return c.error("'axis' must be a plain constant");
  TRY(const size_t axis, axis_in(c, c.integer("axis"), static_cast<int>(data.size())));
  for (std::string_view input : {"scale", "zero_point"}) {
    const Shape shape = shape_of_input(c, input);
    if (!shape.empty() && !compatible(dims, shape, {data[axis]}))
      return c.error(fmt::format("'{}' has shape {}, axis {} of the data has {} elements", input, describe(dims, shape),
                                 axis, dims.str(data[axis])));
  }
  return {};
}

Types infer_affine(InferContext& c) {
  TRY_DO(check_affine(c, c.dims));
  return one({c.dtype("scale"), c.shape("quantized_data")});
}

// scale * (quantized_data - zero_point)
Status eval_affine(EvalContext& c) {
  TRY_DO(check_affine(c, DimTable()));
  const Tensor& data = c.tensor("quantized_data");
  const auto q = unpack_floats(data), scale = c.floats("scale"), zero = c.floats("zero_point");
  TRY(const size_t axis, axis_in(c, c.integer("axis"), data.rank()));
  const int64_t inner = product(data.shape, axis + 1, data.shape.size()), count = data.shape[axis];
  Tensor out = Tensor::make(DType::F32, data.shape);
  float* to = out.mutable_data<float>();
  for (int64_t first = 0, run = 0; first < data.elements(); first += inner, ++run) {
    const auto k = static_cast<size_t>(run % count);
    const float s = scale[scale.size() == 1 ? 0 : k], z = zero[zero.size() == 1 ? 0 : k];
    for (int64_t i = first; i < first + inner; ++i) to[i] = s * (q[static_cast<size_t>(i)] - z);
  }
  c.set_output(0, out.cast(c.tensor("scale").dtype));
  return {};
}

Types infer_cast(InferContext& c) {
  if (c.str("output_dtype") != "fp32") return c.error(fmt::format("output_dtype '{}' is not fp32", c.str("output_dtype")));
  return one({DType::F32, c.shape("source_val")});
}

Status eval_cast(EvalContext& c) {
  c.set_output(0, c.tensor("source_val").cast(DType::F32));
  return {};
}

// The sizes in 'shape' and their product, which must fit in `bits` fields of the byte vector `packed`.
template <class Context>
Result<std::vector<int64_t>> packed_shape(const Context& c, std::string_view packed, int bits) {
  TRY_DO(expect_rank(c, packed, 1, 1));
  if (!is_known(c, "shape")) return c.error("'shape' must be a plain constant");
  auto shape = c.ints("shape");
  const Dim held = shape_of_input(c, packed)[0];
  int64_t elements = 1, most = held.is_constant() ? held.constant() * 8 : 0;
  for (int64_t d : shape) {
    if (d > 0 && elements > most / d)
      return c.error(fmt::format("shape [{}] has more elements than '{}'", fmt::join(shape, ", "), packed));
    elements *= d;
  }
  if ((elements * bits + 7) / 8 != held.constant())
    return c.error(
        fmt::format("{} elements of {} bits do not fill the {} bytes of '{}'", elements, bits, held.constant(), packed));
  return shape;
}

template <class Context>
Result<int> palette_bits(const Context& c) {
  TRY_DO(expect_rank(c, "lut", 1, 1));
  const Dim size = shape_of_input(c, "lut")[0];
  for (int bits : {1, 2, 4, 6, 8})
    if (size == Dim(int64_t{1} << bits)) return bits;
  return c.error("'lut' has none of 2, 4, 16, 64 and 256 entries");
}

Types infer_lut(InferContext& c) {
  TRY(const int bits, palette_bits(c));
  TRY(const auto shape, packed_shape(c, "indices", bits));
  return one({c.dtype("lut"), shape_of(shape)});
}

Status eval_lut(EvalContext& c) {
  TRY(const int bits, palette_bits(c));
  TRY(const auto shape, packed_shape(c, "indices", bits));
  const Tensor& lut = c.tensor("lut");
  Tensor& out = c.output(0, shape, lut.dtype);
  const auto indices = unpack_bits(c.tensor("indices").data<uint8_t>(), bits, out.elements());
  const auto bytes = static_cast<size_t>(byte_size(lut.dtype, 1));
  for (size_t i = 0; i < indices.size(); ++i)
    std::memcpy(out.mutable_data() + i * bytes, lut.data() + indices[i] * bytes, bytes);
  return {};
}

Types infer_sparse(InferContext& c) {
  TRY_DO(expect_rank(c, "nonzero_data", 1, 1));
  TRY(const auto shape, packed_shape(c, "mask", 1));
  return one({c.dtype("nonzero_data"), shape_of(shape)});
}

Status eval_sparse(EvalContext& c) {
  TRY(const auto shape, packed_shape(c, "mask", 1));
  const Tensor &data = c.tensor("nonzero_data"), &mask = c.tensor("mask");
  int64_t ones = 0;
  for (int64_t i = 0; i < mask.elements(); ++i) ones += std::popcount(mask.data<uint8_t>()[i]);
  Tensor& out = c.output(0, shape, data.dtype);
  const auto bits = unpack_bits(mask.data<uint8_t>(), 1, out.elements());
  if (ones != data.elements() || ones != std::count(bits.begin(), bits.end(), 1))
    return c.error(fmt::format("the mask has {} ones for {} values", ones, data.elements()));
  const auto bytes = static_cast<size_t>(byte_size(data.dtype, 1));
  std::memset(out.mutable_data(), 0, out.bytes());
  const std::byte* from = data.data();
  for (size_t i = 0; i < bits.size(); ++i) {
    if (!bits[i]) continue;
    std::memcpy(out.mutable_data() + i * bytes, from, bytes);
    from += bytes;
  }
  return {};
}

constexpr DTypes kBytes = one_of({DType::U8, DType::I8}), kU8 = one_of({DType::U8}), kU32 = one_of({DType::U32});
constexpr DTypes kF16 = one_of({DType::F16});
constexpr Input kAffine[] = {constant("quantized_data", kBytes), constant("zero_point", kBytes | kFp32),
                             constant("scale", kFloats), constant("axis", kInt32)};
constexpr Input kCast[] = {constant("source_val", kF16), constant("output_dtype", kStrings)};
constexpr Input kLut[] = {constant("indices", kU8), constant("lut", kBytes | kFloats), constant("shape", kU32)};
constexpr Input kSparse[] = {constant("nonzero_data", kBytes | kFloats), constant("mask", kU8), constant("shape", kU32)};

constexpr MilOp make(std::string_view name, Target since, std::span<const Input> inputs, Types (*infer)(InferContext&),
                     Status (*eval)(EvalContext&)) {
  return {.name = name, .since = since, .inputs = inputs, .infer = infer, .eval = eval, .constexpr_op = true};
}

}  // namespace

const MilOp constexpr_affine_dequantize =
    make("constexpr_affine_dequantize", Target::iOS16, kAffine, infer_affine, eval_affine);
const MilOp constexpr_cast = make("constexpr_cast", Target::iOS16, kCast, infer_cast, eval_cast);
const MilOp constexpr_cast_ios18 = make("constexpr_cast", Target::iOS18, kCast, infer_cast, eval_cast);
const MilOp constexpr_lut_to_dense = make("constexpr_lut_to_dense", Target::iOS16, kLut, infer_lut, eval_lut);
const MilOp constexpr_sparse_to_dense = make("constexpr_sparse_to_dense", Target::iOS16, kSparse, infer_sparse, eval_sparse);

}  // namespace cortland::mil_ops
