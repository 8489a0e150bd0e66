#include "torch_ops/quantization.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "mil_ops/ops.h"

namespace cortland::torch_ops {

Shape per_tensor(Lowering&, int rank) { return Shape(static_cast<size_t>(rank), 1); }

Shape per_axis(const Shape& x, int64_t axis) {
  Shape groups(x.size(), 1);
  groups[static_cast<size_t>(axis)] = x[static_cast<size_t>(axis)];
  return groups;
}

Shape per_row(const Shape& x) {
  Shape groups = x;
  if (!groups.empty()) groups.back() = 1;
  return groups;
}

Result<Blocks> in_blocks(Lowering& in, Operand x, const Shape& groups) {
  Blocks b;
  Shape shape;
  const Shape from = in.shape_of(x);
  for (size_t i = 0; i < from.size(); ++i) {
    if (groups[i] == from[i] || groups[i] == Dim(1)) {
      if (groups[i] == Dim(1)) b.axes.push_back(static_cast<int64_t>(shape.size()));
      shape.push_back(from[i]);
      b.one.push_back(groups[i]);
      continue;
    }
    if (!from[i].is_constant() || !groups[i].is_constant() || groups[i].constant() == 0 || from[i].constant() % groups[i].constant() != 0)
      return in.reject(DiagKind::UnsupportedShape, "the blocks do not divide the tensor");
    shape.push_back(groups[i]);
    b.axes.push_back(static_cast<int64_t>(shape.size()));
    shape.push_back(from[i].constant() / groups[i].constant());
    b.one.push_back(groups[i]);
    b.one.push_back(1);
  }
  if (shape.size() > 5) return in.reject(DiagKind::UnsupportedRank, fmt::format("the blocks make rank {}, Core ML allows 5", shape.size()));
  TRY(b.x, in.reshape(x, shape));
  return b;
}

std::string pack_bits(const std::vector<int64_t>& values, int bits) {
  std::string out((values.size() * static_cast<size_t>(bits) + 7) / 8, '\0');
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t at = i * static_cast<size_t>(bits);
    const auto field = static_cast<uint32_t>(values[i]) & ((1u << bits) - 1);
    for (int k = 0; k < bits; ++k)
      if (field >> k & 1) out[(at + static_cast<size_t>(k)) / 8] = static_cast<char>(out[(at + static_cast<size_t>(k)) / 8] | 1 << (at + static_cast<size_t>(k)) % 8);
  }
  return out;
}

namespace {

constexpr float kSmallestNormalHalf = 6.1e-5f, kLargestHalf = 65504;

// Which block each element of a tensor belongs to.
std::vector<size_t> block_of_each(const std::vector<int64_t>& shape, const std::vector<int64_t>& groups) {
  int64_t count = 1;
  for (int64_t d : shape) count *= d;
  std::vector<size_t> out(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = i, block = 0, stride = 1;
    for (size_t k = shape.size(); k-- > 0; rest /= shape[k]) {
      block += rest % shape[k] / (shape[k] / groups[k]) * stride;
      stride *= groups[k];
    }
    out[static_cast<size_t>(i)] = static_cast<size_t>(block);
  }
  return out;
}

// A constant tensor with its scales and zero points read.
struct ConstantWeight {
  Weight data;
  std::vector<int64_t> groups;
  std::vector<float> scale;
  std::vector<float> zero;
};

std::optional<ConstantWeight> constant_weight(Lowering& in, Operand q, const Quantization& spec) {
  const Weight *data = in.const_weight(q), *scale = in.const_weight(spec.scale);
  const Weight* zero = spec.zero ? in.const_weight(spec.zero) : nullptr;
  if (!data || !scale || (spec.zero && !zero)) return std::nullopt;
  ConstantWeight w{*data, sizes(spec.groups), scale->to_floats(), {}};
  w.zero = zero ? zero->to_floats() : std::vector<float>(w.scale.size(), 0.0f);
  int64_t blocks = 1;
  for (size_t i = 0; i < w.groups.size(); ++i) {
    if (w.groups[i] == 0 || data->shape()[i] % w.groups[i] != 0) return std::nullopt;
    blocks *= w.groups[i];
  }
  if (w.zero.size() == 1) w.zero.resize(w.scale.size(), w.zero[0]);
  if (static_cast<int64_t>(w.scale.size()) != blocks || w.zero.size() != w.scale.size()) return std::nullopt;
  return w;
}

// The weight as plain numbers: no target packs it, or float16 scales would lose too much.
Operand expanded(Lowering& in, const ConstantWeight& w) {
  std::vector<float> values = w.data.to_floats();
  const auto blocks = block_of_each(w.data.shape(), w.groups);
  for (size_t i = 0; i < values.size(); ++i) values[i] = (values[i] - w.zero[blocks[i]]) * w.scale[blocks[i]];
  return in.constant(Weight::of<float>(DType::F32, w.data.shape(), values));
}

Weight floats(DType type, std::vector<int64_t> shape, const std::vector<float>& v) {
  return Weight::of<float>(DType::F32, std::move(shape), v).cast(type);
}

// Data and zero points in the narrowest type that iOS18 has for the range; nothing when neither 4 nor 8 bits hold them.
struct Packed {
  Weight data, zero;
};

std::optional<Packed> pack(const ConstantWeight& w, const Quantization& spec, bool four_bits) {
  int64_t low = spec.low, high = spec.high;
  for (float z : w.zero) {
    if (z != std::floor(z)) return std::nullopt;
    low = std::min(low, static_cast<int64_t>(z));
    high = std::max(high, static_cast<int64_t>(z));
  }
  const auto pick = [&](DType type, DType stored) {
    const std::vector<int64_t> shape = w.data.shape(), zeros(w.zero.begin(), w.zero.end());
    if (type == stored) {
      std::string bytes;
      for (int64_t z : zeros) bytes += static_cast<char>(z);
      return Packed{w.data.cast(stored), Weight::dense(stored, w.groups, bytes)};
    }
    return Packed{Weight::dense(type, shape, pack_bits(w.data.to_ints(), 4)), Weight::dense(type, w.groups, pack_bits(zeros, 4))};
  };
  if (four_bits && w.data.elements() % 8 == 0 && w.zero.size() % 2 == 0) {
    if (low >= -8 && high <= 7) return pick(DType::I4, DType::I8);
    if (low >= 0 && high <= 15) return pick(DType::U4, DType::U8);
  }
  if (low >= -128 && high <= 127) return pick(DType::I8, DType::I8);
  if (low >= 0 && high <= 255) return pick(DType::U8, DType::U8);
  return std::nullopt;
}

Result<Operand> dequantize_weight(Lowering& in, const ConstantWeight& w, const Quantization& spec) {
  const DType type = in.options().float_type;
  const auto fits = [&](float s) { return type == DType::F32 || s == 0 || (std::abs(s) >= kSmallestNormalHalf && std::abs(s) <= kLargestHalf); };
  const bool representable = std::all_of(w.scale.begin(), w.scale.end(), fits);
  const auto split = std::count_if(w.groups.begin(), w.groups.end(), [](int64_t g) { return g != 1; });
  if (!representable || w.data.shape().empty() || !in.at_least(mil::Target::iOS16)) return expanded(in, w);
  const bool newest = in.at_least(mil::Target::iOS18);
  const auto packed = pack(w, spec, newest);
  if (!packed) return expanded(in, w);
  if (newest) {
    const bool shifted = std::any_of(w.zero.begin(), w.zero.end(), [](float z) { return z != 0; });
    return in.op(mil_ops::constexpr_blockwise_shift_scale, {{"data", in.constant(packed->data)},
                                                            {"scale", in.constant(floats(type, w.groups, w.scale))},
                                                            {"offset", shifted ? in.constant(packed->zero) : Operand()}});
  }
  // iOS16 scales whole tensors, or slices along one axis.
  size_t axis = 0;
  for (size_t i = 0; i < w.groups.size(); ++i)
    if (w.groups[i] != 1) axis = i;
  if (split > 1 || (split == 1 && w.groups[axis] != w.data.shape()[axis])) return expanded(in, w);
  std::vector<int64_t> shape;
  if (split == 1) shape.push_back(w.groups[axis]);
  return in.op(mil_ops::constexpr_affine_dequantize, {{"quantized_data", in.constant(packed->data)},
                                                      {"zero_point", in.constant(packed->zero.reshape(shape))},
                                                      {"scale", in.constant(floats(type, shape, w.scale))},
                                                      {"axis", static_cast<int64_t>(axis)}});
}

// iOS17 has ops for tensors and slices along one axis, with constant parameters of 8 bits.
struct OpForm {
  Operand scale, zero;
  std::optional<int64_t> axis;
};

std::optional<OpForm> op_form(Lowering& in, const Quantization& spec, DType stored) {
  if (!in.at_least(mil::Target::iOS17) || (stored != DType::I8 && stored != DType::U8)) return std::nullopt;
  const Weight* scale = in.const_weight(spec.scale);
  const Weight* zero = spec.zero ? in.const_weight(spec.zero) : nullptr;
  if (!scale || (spec.zero && !zero)) return std::nullopt;
  OpForm form;
  std::vector<int64_t> shape;
  for (size_t i = 0; i < spec.groups.size(); ++i) {
    if (spec.groups[i] == Dim(1)) continue;
    if (form.axis || !spec.groups[i].is_constant()) return std::nullopt;
    form.axis = static_cast<int64_t>(i);
    shape = {spec.groups[i].constant()};
  }
  const std::vector<float> s = scale->to_floats();
  std::vector<float> z = zero ? zero->to_floats() : std::vector<float>(s.size(), 0.0f);
  if (z.size() == 1) z.resize(s.size(), z[0]);
  const size_t blocks = shape.empty() ? 1 : static_cast<size_t>(shape[0]);
  if (s.size() != blocks || z.size() != blocks) return std::nullopt;
  const float low = stored == DType::I8 ? -128 : 0, high = stored == DType::I8 ? 127 : 255;
  for (size_t i = 0; i < blocks; ++i) {
    if (z[i] < low || z[i] > high || z[i] != std::floor(z[i])) return std::nullopt;
    if (in.compute() == DType::F16 && (std::abs(s[i]) < kSmallestNormalHalf || std::abs(s[i]) > kLargestHalf)) return std::nullopt;
  }
  form.scale = in.constant(floats(in.compute(), shape, s));
  std::string bytes;
  for (float v : z) bytes += static_cast<char>(static_cast<int>(v));
  form.zero = in.constant(Weight::dense(stored, shape, bytes));
  return form;
}

std::vector<MilArg> op_arguments(const char* name, Operand x, const OpForm& form) {
  std::vector<MilArg> args = {{name, x}, {"zero_point", form.zero}, {"scale", form.scale}};
  if (form.axis) args.emplace_back("axis", *form.axis);
  return args;
}

// Parameters in the type of the arithmetic, shaped to broadcast with the blocks.
Result<Operand> parameter(Lowering& in, Operand p, const Shape& one, DType type) {
  TRY(Operand typed, in.cast(p, type));
  if (const Shape& have = in.shape_of(p); have == Shape{1} || have.empty()) return in.reshape(typed, {});
  return in.reshape(typed, one);
}

}  // namespace

Result<Operand> dequantize(Lowering& in, Operand q, const Quantization& spec) {
  if (auto weight = constant_weight(in, q, spec)) return dequantize_weight(in, *weight, spec);
  if (auto form = op_form(in, spec, in.dtype_of(q))) return in.op(mil_ops::dequantize, op_arguments("input", q, *form));
  // Integers of 8 bits are exact in float16.
  const bool small = spec.low >= -1024 && spec.high <= 1024 && spec.scale.is_const();
  const DType type = small ? in.compute() : DType::F32;
  TRY(Operand x, in.cast(q, type));
  const Shape shape = in.shape_of(q);
  TRY(const Blocks b, in_blocks(in, x, spec.groups));
  x = b.x;
  if (spec.zero) {
    TRY(Operand zero, parameter(in, spec.zero, b.one, type));
    TRY(x, in.op(mil_ops::sub, {{"x", x}, {"y", zero}}));
  }
  TRY(Operand scale, parameter(in, spec.scale, b.one, type));
  TRY(x, multiply(in, x, scale));
  TRY(x, in.reshape(x, shape));
  return in.cast(x, in.compute());
}

Result<Operand> quantize(Lowering& in, Operand x, const Quantization& spec, DType to) {
  const bool full = (to == DType::I8 && spec.low == -128 && spec.high == 127) || (to == DType::U8 && spec.low == 0 && spec.high == 255);
  if (full && !x.is_const()) {
    if (auto form = op_form(in, spec, to)) {
      TRY(Operand input, in.cast(x, in.compute()));
      auto args = op_arguments("input", input, *form);
      args.emplace_back("output_dtype", std::string(mil_name(to)));
      return in.op(mil_ops::quantize, std::move(args));
    }
  }
  const DType type = spec.scale.is_const() ? in.compute() : DType::F32;
  TRY(Operand typed, in.cast(x, type));
  const Shape shape = in.shape_of(x);
  TRY(const Blocks b, in_blocks(in, typed, spec.groups));
  TRY(Operand scale, parameter(in, spec.scale, b.one, DType::F32));
  TRY(Operand inverse, in.op(mil_ops::real_div, {{"x", in.constant(1, DType::F32)}, {"y", scale}}));
  TRY(inverse, in.cast(inverse, type));
  TRY(Operand y, multiply(in, b.x, inverse));
  TRY(y, in.op(mil_ops::round, {{"x", y}}));
  if (spec.zero) {
    TRY(Operand zero, parameter(in, spec.zero, b.one, type));
    TRY(y, add(in, y, zero));
  }
  TRY(y, in.op(mil_ops::clip, {{"x", y}, {"alpha", static_cast<double>(spec.low)}, {"beta", static_cast<double>(spec.high)}}));
  TRY(y, in.reshape(y, shape));
  return in.cast(y, DType::I32);
}

namespace {

DType code_type(int bits) {
  switch (bits) {
    case 1: return DType::U1;
    case 2: return DType::U2;
    case 3: return DType::U3;
    case 4: return DType::U4;
    case 6: return DType::U6;
    default: return DType::U8;
  }
}

}  // namespace

Result<Operand> look_up_codes(Lowering& in, Operand codes, Operand table, int64_t bits) {
  const Weight *data = in.const_weight(codes), *lut = in.const_weight(table);
  if (!data || !lut) return in.reject(DiagKind::UnsupportedArgument, "codes and codebook must be constants");
  const size_t rank = data->shape().size();
  if (lut->shape().size() != rank + 2 || lut->shape()[rank + 1] != 1 || bits < 1 || bits > 8 || lut->shape()[rank] != int64_t{1} << bits)
    return in.reject(DiagKind::UnsupportedArgument, "the codebook is not a table of 2^nbits numbers for each block", "use scalar codebooks");
  const std::vector<int64_t> groups(lut->shape().begin(), lut->shape().begin() + static_cast<std::ptrdiff_t>(rank));
  int64_t tables = 1;
  for (size_t i = 0; i < rank; ++i) {
    if (groups[i] == 0 || data->shape()[i] % groups[i] != 0) return in.reject(DiagKind::UnsupportedShape, "the blocks do not divide the codes");
    tables *= groups[i];
  }
  const std::vector<int64_t> values = data->to_ints();
  const auto entries = static_cast<int64_t>(lut->shape()[rank]);
  for (int64_t v : values)
    if (v < 0 || v >= entries) return in.reject(DiagKind::UnsupportedArgument, fmt::format("code {} is outside the codebook", v));
  // 5 and 7 bits have no type: tables grow to the next width.
  const int width = bits == 5 ? 6 : bits == 7 ? 8 : static_cast<int>(bits);
  const std::vector<float> numbers = lut->to_floats();
  const int64_t grown = int64_t{1} << width;
  std::vector<float> wide(static_cast<size_t>(tables * grown), 0.0f);
  for (int64_t t = 0; t < tables; ++t)
    for (int64_t i = 0; i < entries; ++i) wide[static_cast<size_t>(t * grown + i)] = numbers[static_cast<size_t>(t * entries + i)];
  const DType type = in.options().float_type;
  const bool representable = type == DType::F32 || std::all_of(numbers.begin(), numbers.end(), [](float v) { return std::abs(v) <= kLargestHalf; });
  if (representable && in.at_least(mil::Target::iOS18) && static_cast<int64_t>(values.size()) * width % 8 == 0 && values.size() % 8 == 0) {
    std::vector<int64_t> shape = groups;
    shape.insert(shape.end(), {grown, 1});
    return in.op(mil_ops::constexpr_lut_to_dense, {{"indices", in.constant(Weight::dense(code_type(width), data->shape(), pack_bits(values, width)))},
                                                   {"lut", in.constant(floats(type, shape, wide))}});
  }
  if (representable && in.at_least(mil::Target::iOS16) && !in.at_least(mil::Target::iOS18) && tables == 1 && width != 3) {
    const std::string bytes = pack_bits(values, width);
    std::vector<uint32_t> shape(data->shape().begin(), data->shape().end());
    return in.op(mil_ops::constexpr_lut_to_dense,
                 {{"indices", in.constant(Weight::dense(DType::U8, {static_cast<int64_t>(bytes.size())}, bytes))},
                  {"lut", in.constant(floats(type, {grown}, wide))},
                  {"shape", in.constant(Weight::of<uint32_t>(DType::U32, {static_cast<int64_t>(rank)}, shape))}});
  }
  const auto blocks = block_of_each(data->shape(), groups);
  std::vector<float> out(values.size());
  for (size_t i = 0; i < values.size(); ++i) out[i] = numbers[blocks[i] * static_cast<size_t>(entries) + static_cast<size_t>(values[i])];
  return in.constant(Weight::of<float>(DType::F32, data->shape(), out));
}

}  // namespace cortland::torch_ops
