// Operators of PT2E (quantized_decomposed) and torchao that quantise and dequantise.
#include <fmt/format.h>

#include "mil_ops/ops.h"
#include "torch_ops/decompose_quantized.h"
#include "torch_ops/indices.h"
#include "torch_ops/op.h"
#include "torch_ops/quantization.h"

namespace cortland::torch_ops {
namespace {

// Scale and zero point are numbers or tensors.
Result<Operand> parameter(Lowering& in, std::string_view name) {
  if (in.is_tensor(name)) return in.stored_tensor(name);
  TRY(const double v, in.number(name));
  return in.constant(v, DType::F32);
}

Result<Quantization> specification(Lowering& in, std::string_view scale, std::string_view zero, Shape groups) {
  Quantization spec;
  TRY(spec.scale, parameter(in, scale));
  if (in.has(zero)) {
    TRY(spec.zero, parameter(in, zero));
  }
  spec.groups = std::move(groups);
  const auto bound = [&](std::string_view name) -> Result<int64_t> {
    if (!in.is_tensor(name)) return in.integer(name);
    TRY(Operand o, in.tensor(name));
    const auto v = in.const_ints(o);
    if (!v || v->size() != 1) return in.reject(DiagKind::UnsupportedArgument, fmt::format("argument '{}' is known only at run time", name));
    return (*v)[0];
  };
  if (in.has("quant_min")) {
    TRY(spec.low, bound("quant_min"));
  }
  if (in.has("quant_max")) {
    TRY(spec.high, bound("quant_max"));
  }
  return spec;
}

// Which part of a tensor shares one scale.
enum class Share { Tensor, Channel, Token, Group };

Result<Shape> groups_of(Lowering& in, Share share, const Shape& x) {
  if (share == Share::Tensor) return per_tensor(in, static_cast<int>(x.size()));
  if (share == Share::Token) return per_row(x);
  if (share == Share::Channel) {
    TRY(const int64_t axis, in.axis("axis", static_cast<int>(x.size())));
    return per_axis(x, axis);
  }
  TRY(int64_t size, in.integer("group_size"));
  if (x.empty() || !x.back().is_constant() || size < 1) return in.reject(DiagKind::UnsupportedShape, "groups of a dynamic size");
  Shape groups = x;
  size = std::min(size, x.back().constant());
  groups.back() = x.back().constant() / size;
  return groups;
}

Lowered dequantized(Lowering& in, Share share, std::string_view scale, std::string_view zero) {
  TRY(Operand q, in.stored_tensor("input"));
  TRY(Shape groups, groups_of(in, share, in.shape_of(q)));
  TRY(const Quantization spec, specification(in, scale, zero, std::move(groups)));
  return dequantize(in, q, spec);
}

Lowered quantized(Lowering& in, Share share, std::string_view scale, std::string_view zero) {
  TRY(Operand x, in.stored_tensor("input"));
  TRY(Shape groups, groups_of(in, share, in.shape_of(x)));
  TRY(const Quantization spec, specification(in, scale, zero, std::move(groups)));
  return quantize(in, x, spec, in.result_type().dtype);
}

Lowered dequantized_tensor(Lowering& in) { return dequantized(in, Share::Tensor, "scale", "zero_point"); }
Lowered dequantized_channel(Lowering& in) { return dequantized(in, Share::Channel, "scales", "zero_points"); }
Lowered dequantized_token(Lowering& in) { return dequantized(in, Share::Token, "scales", "zero_points"); }
Lowered dequantized_group(Lowering& in) { return dequantized(in, Share::Group, "scales", "zero_points"); }
Lowered quantized_tensor(Lowering& in) { return quantized(in, Share::Tensor, "scale", "zero_point"); }
Lowered quantized_channel(Lowering& in) { return quantized(in, Share::Channel, "scales", "zero_points"); }
Lowered quantized_token(Lowering& in) { return quantized(in, Share::Token, "scales", "zero_points"); }
Lowered quantized_group(Lowering& in) { return quantized(in, Share::Group, "scales", "zero_points"); }

Lowered fake_quantized_channel(Lowering& in) {
  TRY(Operand x, in.tensor("input"));
  TRY(Shape groups, groups_of(in, Share::Channel, in.shape_of(x)));
  TRY(const Quantization spec, specification(in, "scales", "zero_points", std::move(groups)));
  TRY(Operand q, quantize(in, x, spec, DType::I32));
  return dequantize(in, q, spec);
}

// --- torchao

// Blocks of `block_size`; -1 is a whole axis.
Result<Shape> blocks_of(Lowering& in, const Shape& x) {
  TRY(const auto block, in.dims("block_size"));
  if (block.size() != x.size()) return in.reject(DiagKind::UnsupportedArgument, "block_size has another rank than the tensor");
  Shape groups;
  for (size_t i = 0; i < x.size(); ++i) {
    const auto size = known(in, block[i]);
    if (block[i] == x[i] || size == -1) {
      groups.push_back(1);
    } else if (size == 1) {
      groups.push_back(x[i]);
    } else if (size && *size > 0 && x[i].is_constant() && x[i].constant() % *size == 0) {
      groups.push_back(x[i].constant() / *size);
    } else {
      return in.reject(DiagKind::UnsupportedShape, "the blocks do not divide the tensor");
    }
  }
  return groups;
}

// The range of a type, for arguments that leave it out.
void default_range(Lowering& in, DType type, Quantization& spec) {
  const bool is_signed = type == DType::I8 || type == DType::I16 || type == DType::I32;
  const int bits = type == DType::I16 ? 16 : type == DType::I32 ? 32 : 8;
  if (!in.has("quant_min")) spec.low = is_signed ? -(int64_t{1} << (bits - 1)) : 0;
  if (!in.has("quant_max")) spec.high = (int64_t{1} << (is_signed ? bits - 1 : bits)) - 1;
}

Lowered dequantized_affine(Lowering& in) {
  TRY(Operand q, in.stored_tensor("input"));
  TRY(Shape groups, blocks_of(in, in.shape_of(q)));
  TRY(Quantization spec, specification(in, "scale", "zero_point", std::move(groups)));
  default_range(in, in.torch_type("input").dtype, spec);
  if (spec.zero && in.type(spec.zero).tensor.elements() == 0) spec.zero = {};
  return dequantize(in, q, spec);
}

Lowered quantized_affine(Lowering& in) {
  TRY(Operand x, in.stored_tensor("input"));
  TRY(Shape groups, blocks_of(in, in.shape_of(x)));
  TRY(Quantization spec, specification(in, "scale", "zero_point", std::move(groups)));
  default_range(in, in.result_type().dtype, spec);
  return quantize(in, x, spec, in.result_type().dtype);
}

Lowered dequantized_codebook(Lowering& in) {
  TRY(Operand codes, in.stored_tensor("codes"));
  TRY(Operand table, in.stored_tensor("codebook"));
  TRY(const int64_t bits, in.integer("nbits"));
  return look_up_codes(in, codes, table, bits);
}

// Sums of products of int8 are exact in float32 up to 2^24, and in float16 would not be numbers at all.
Lowered integer_product(Lowering& in) {
  TRY(Operand a, in.stored_tensor("self"));
  TRY(Operand b, in.stored_tensor("mat2"));
  TRY(a, in.cast(a, DType::F32));
  TRY(b, in.cast(b, DType::F32));
  TRY(Operand product, in.op(mil_ops::matmul, {{"x", a}, {"y", b}, {"transpose_x", false}, {"transpose_y", false}}));
  return in.cast(product, DType::I32);
}

// --- embeddings of packed weights

Lowered embedded(Lowering& in, int bits) {
  TRY(Operand packed, in.stored_tensor("weight"));
  const Weight* w = in.const_weight(packed);
  if (!w || w->shape().size() != 2) return in.reject(DiagKind::UnsupportedArgument, "the embedding table must be a constant matrix");
  Operand table = packed;
  if (bits < 8) {
    // 4 bits: the first of two in the high half; 2 bits: the first of four in the lowest.
    const int parts = 8 / bits;
    std::string bytes;
    for (int64_t v : w->to_ints())
      for (int i = 0; i < parts; ++i) {
        const int shift = bits == 4 ? 4 * (1 - i) : 2 * i;
        bytes += static_cast<char>(((v >> shift) & ((1 << bits) - 1)) - (1 << (bits - 1)));
      }
    table = in.constant(Weight::dense(DType::I8, {w->shape()[0], w->shape()[1] * parts}, bytes));
  }
  Quantization spec;
  TRY(spec.scale, in.stored_tensor("weight_scales"));
  if (in.has("weight_zero_points")) {
    TRY(spec.zero, in.stored_tensor("weight_zero_points"));
  }
  TRY(spec.low, in.integer("weight_quant_min"));
  TRY(spec.high, in.integer("weight_quant_max"));
  const Shape scales = in.shape_of(spec.scale);
  spec.groups = {in.shape_of(table)[0], scales.size() == 2 ? scales[1] : Dim(1)};
  TRY(Operand weights, dequantize(in, table, spec));
  TRY(Operand indices, in.tensor("indices"));
  TRY(Operand typed, in.cast(weights, in.compute()));
  return gather(in, typed, 0, indices);
}

#define TYPED ", ScalarType dtype, *, ScalarType? out_dtype=None) -> Tensor"
#define EMBEDDING "(Tensor weight, Tensor weight_scales, Tensor? weight_zero_points, int weight_quant_min, int weight_quant_max, Tensor indices"

constexpr TorchOp kTable[] = {
    {.schema = "quantized_decomposed::quantize_per_tensor(Tensor input, float scale, int zero_point, int quant_min, int quant_max, "
               "ScalarType dtype) -> Tensor",
     .lower = quantized_tensor,
     .samples = "f32[2,3] 0.1 3 -128 127 i8 -> i8[2,3]; f32[2,3] 0.05 128 0 255 u8 -> u8[2,3]; "
                "f32[n2,m3] 0.1 3 -128 127 i8 -> i8[n2,m3]"},
    {.schema = "quantized_decomposed::quantize_per_tensor.tensor(Tensor input, Tensor scale, Tensor zero_point, int quant_min, int "
               "quant_max, ScalarType dtype) -> Tensor",
     .lower = quantized_tensor,
     .samples = "f32[2,3] const f32[1]{0.1} const i64[1]{3} -128 127 i8 -> i8[2,3]; "
                "f32[n2,m3] const f32[1]{0.1} const i64[1]{3} -128 127 i8 -> i8[n2,m3]"},
    {.schema = "quantized_decomposed::quantize_per_tensor.tensor2(Tensor input, Tensor scale, Tensor zero_point, Tensor quant_min, Tensor "
               "quant_max, ScalarType dtype) -> Tensor",
     .lower = quantized_tensor,
     .samples = "f32[2,3] const f32[1]{0.1} const i64[1]{3} const i64[1]{-128} const i64[1]{127} i8 -> i8[2,3]; "
                "f32[n2,m3] const f32[1]{0.1} const i64[1]{3} const i64[1]{-128} const i64[1]{127} i8 -> i8[n2,m3]"},
    {.schema = "quantized_decomposed::quantize_per_channel(Tensor input, Tensor scales, Tensor zero_points, int axis, int quant_min, int "
               "quant_max, ScalarType dtype) -> Tensor",
     .lower = quantized_channel,
     .samples = "f32[2,3] const f32[3]{0.05..0.1} const i64[3]{-3..3} 1 -128 127 i8 -> i8[2,3]; "
                "f32[n2,3] const f32[3]{0.05..0.1} const i64[3]{-3..3} 1 -128 127 i8 -> i8[n2,3]"},
    {.schema = "quantized_decomposed::quantize_per_token(Tensor input, Tensor scales, Tensor zero_points, int quant_min, int quant_max, "
               "ScalarType dtype) -> Tensor",
     .lower = quantized_token,
     .samples = "f32[2,3] const f32[2,1]{0.05..0.1} const i64[2,1]{-3..3} -128 127 i8 -> i8[2,3]; "
                "f32[2,m3] const f32[2,1]{0.05..0.1} const i64[2,1]{-3..3} -128 127 i8 -> i8[2,m3]"},
    {.schema = "quantized_decomposed::quantize_per_channel_group(Tensor input, Tensor scales, Tensor zero_points, int quant_min, int "
               "quant_max, ScalarType dtype, int group_size) -> Tensor",
     .lower = quantized_group,
     .samples = "f32[2,8] const f32[2,2]{0.05..0.1} const i64[2,2]{-3..3} -128 127 i8 4 -> i8[2,8]"},
    {.schema = "quantized_decomposed::dequantize_per_tensor(Tensor input, float scale, int zero_point, int quant_min, int quant_max" TYPED,
     .lower = dequantized_tensor, .samples = "const i8[4,3]{-128..127} 0.1 3 -128 127 i8 -> f32[4,3]"},
    {.schema = "quantized_decomposed::dequantize_per_tensor.tensor(Tensor input, Tensor scale, Tensor zero_point, int quant_min, int "
               "quant_max" TYPED,
     .lower = dequantized_tensor,
     .samples = "const i8[4,3]{-128..127} const f32[1]{0.1} const i64[1]{3} -128 127 i8 -> f32[4,3]"},
    {.schema = "quantized_decomposed::dequantize_per_tensor.tensor2(Tensor input, Tensor scale, Tensor zero_point, Tensor quant_min, "
               "Tensor quant_max" TYPED,
     .lower = dequantized_tensor,
     .samples = "const i8[4,3]{-128..127} const f32[1]{0.1} const i64[1]{3} const i64[1]{-128} const i64[1]{127} i8 -> f32[4,3]"},
    {.schema = "quantized_decomposed::dequantize_per_channel(Tensor input, Tensor scales, Tensor? zero_points, int axis, int quant_min, "
               "int quant_max" TYPED,
     .lower = dequantized_channel,
     .samples = "const i8[4,3]{-128..127} const f32[4]{0.05..0.1} const i64[4]{-3..3} 0 -128 127 i8 -> f32[4,3]; "
                "const i8[4,3]{-128..127} const f32[4]{0.05..0.1} None 0 -128 127 i8 -> f32[4,3]"},
    {.schema = "quantized_decomposed::dequantize_per_token(Tensor input, Tensor scales, Tensor zero_points, int quant_min, int quant_max, "
               "ScalarType dtype, ScalarType output_dtype) -> Tensor",
     .lower = dequantized_token,
     .samples = "const i8[4,3]{-128..127} const f32[4,1]{0.05..0.1} const i64[4,1]{-3..3} -128 127 i8 f32 -> f32[4,3]"},
    {.schema = "quantized_decomposed::dequantize_per_channel_group(Tensor input, Tensor scales, Tensor? zero_points, int quant_min, int "
               "quant_max, ScalarType dtype, int group_size, ScalarType output_dtype) -> Tensor",
     .lower = dequantized_group,
     .samples = "const i8[4,8]{-128..127} const f32[4,2]{0.05..0.1} const i64[4,2]{-3..3} -128 127 i8 4 f32 -> f32[4,8]"},
    {.schema = "quantized_decomposed::fake_quant_per_channel(Tensor input, Tensor scales, Tensor zero_points, int axis, int quant_min, int "
               "quant_max) -> Tensor",
     .lower = fake_quantized_channel,
     .samples = "f32[2,3] const f32[3]{0.05..0.1} const i64[3]{-3..3} 1 -128 127; "
                "f32[n2,3] const f32[3]{0.05..0.1} const i64[3]{-3..3} 1 -128 127"},
    {.schema = "quantized_decomposed::embedding_byte" EMBEDDING ") -> Tensor", .lower = [](Lowering& in) { return embedded(in, 8); },
     .samples = "const u8[10,4]{0..255} const f32[10]{0.05..0.1} const f32[10]{100..140} 0 255 i64[3]{0..9} -> f32[3,4]"},
    {.schema = "quantized_decomposed::embedding_byte.dtype" EMBEDDING ", *, ScalarType? dtype=None) -> Tensor",
     .lower = [](Lowering& in) { return embedded(in, 8); },
     .samples = "const u8[10,4]{0..255} const f32[10]{0.05..0.1} const f32[10]{100..140} 0 255 i64[3]{0..9} dtype=f16 -> f16[3,4]"},
    {.schema = "quantized_decomposed::embedding_4bit" EMBEDDING ") -> Tensor", .lower = [](Lowering& in) { return embedded(in, 4); },
     .samples = "const u8[10,4]{0..255} const f32[10]{0.05..0.1} None -8 7 i64[3]{0..9} -> f32[3,8]"},
    {.schema = "quantized_decomposed::embedding_4bit.dtype" EMBEDDING ", *, ScalarType? dtype=None) -> Tensor",
     .lower = [](Lowering& in) { return embedded(in, 4); },
     .samples = "const u8[10,4]{0..255} const f32[10]{0.05..0.1} None -8 7 i64[3]{0..9} dtype=f32 -> f32[3,8]"},
    {.schema = "quantized_decomposed::embedding_2bit" EMBEDDING ") -> Tensor", .lower = [](Lowering& in) { return embedded(in, 2); },
     .samples = "const u8[10,4]{0..255} const f32[10]{0.05..0.1} None -2 1 i64[3]{0..9} -> f32[3,16]"},
    {.schema = "quantized_decomposed::embedding_2bit.dtype" EMBEDDING ", *, ScalarType? dtype=None) -> Tensor",
     .lower = [](Lowering& in) { return embedded(in, 2); },
     .samples = "const u8[10,4]{0..255} const f32[10]{0.05..0.1} None -2 1 i64[3]{0..9} dtype=f32 -> f32[3,16]"},
    {.schema = "torchao::dequantize_affine(Tensor input, SymInt[] block_size, Tensor scale, Tensor? zero_point, ScalarType input_dtype, "
               "Scalar? quant_min=None, Scalar? quant_max=None, ScalarType output_dtype=6) -> Tensor",
     .lower = dequantized_affine, .decompose = decompositions::dequantize_affine,
     .samples = "const i8[4,8]{-128..127} [1,4] const f32[4,2]{0.05..0.1} const i64[4,2]{-3..3} i8 -128 127 -> f32[4,8]"},
    {.schema = "torchao::quantize_affine(Tensor input, SymInt[] block_size, Tensor scale, Tensor? zero_point, ScalarType output_dtype, "
               "Scalar? quant_min=None, Scalar? quant_max=None) -> Tensor",
     .lower = quantized_affine, .decompose = decompositions::quantize_affine,
     .samples = "f32[4,8] [1,4] const f32[4,2]{0.05..0.1} const i64[4,2]{-3..3} i8 -128 127 -> i8[4,8]"},
    {.schema = "aten::_int_mm(Tensor self, Tensor mat2) -> Tensor", .lower = integer_product, .decompose = decompositions::int_mm,
     .samples = "const i8[20,8]{-9..9} const i8[8,4]{-9..9} -> i32[20,4]"},
    {.schema = "torchao::choose_qparams_affine(Tensor? input, str mapping_type, SymInt[] block_size, ScalarType target_dtype, Scalar? "
               "quant_min=None, Scalar? quant_max=None, float? eps=None, ScalarType? scale_dtype=None, ScalarType? zero_point_dtype=None, "
               "bool keepdim=False) -> (Tensor, Tensor)",
     .decompose = decompositions::choose_qparams_affine,
     .samples = "f32[2,8] 'SYMMETRIC' [1,8] i8 -128 127 0.00001 f32 i32 -> f32[2], i32[2]; "
                "f32[2,8] 'ASYMMETRIC' [1,8] i8 -128 127 0.00001 f32 i32 -> f32[2], i32[2]; "
                "f32[n2,8] 'SYMMETRIC' [1,8] i8 -128 127 0.00001 f32 i32 -> f32[n2], i32[n2]"},
    {.schema = "quant::dequantize_codebook(Tensor codes, Tensor codebook, SymInt nbits, SymInt[] block_size, ScalarType output_dtype=6) -> "
               "Tensor",
     .lower = dequantized_codebook, .decompose = decompositions::dequantize_codebook,
     .samples = "const i32[4,8]{0..3} const f32[1,2,4,1] 2 [4,4] -> f32[4,8]"},
};

#undef EMBEDDING
#undef TYPED

}  // namespace

extern const std::span<const TorchOp> kQuantizedOps;
const std::span<const TorchOp> kQuantizedOps = kTable;

}  // namespace cortland::torch_ops
