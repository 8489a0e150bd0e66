// The rules on single ops, by family. Numbers after # are issues of apple/coremltools, rdar numbers stand in its sources.
#include <algorithm>
#include <cmath>

#include "device_rules/operands.h"
#include "device_rules/rules.h"

namespace cortland::device_rules {
namespace {

using mil::Op;
using mil::Operand;
using mil::Program;
using mil::Target;
using enum Evidence;

// Whether a constant has an entry that is not 0.
bool is_set(const Program& p, const Op& op, std::string_view input) {
  const auto values = small_ints(p, op, input);
  return values && std::any_of(values->begin(), values->end(), [](int64_t v) { return v != 0; });
}

// ---- what holds of every op

// Tables of palettes have two axes more than their weights by definition.
bool has_deep_result(const Program& p, const Op& op) {
  return !op.def->constexpr_op && std::any_of(op.results.begin(), op.results.end(), [&](mil::ValueId v) { return p.type(v).rank() > 5; });
}

bool has_empty_result(const Program& p, const Op& op) {
  return std::any_of(op.results.begin(), op.results.end(), [&](mil::ValueId v) {
    const auto& shape = p.type(v).shape();
    return std::find(shape.begin(), shape.end(), Dim(0)) != shape.end();
  });
}

bool has_unknown_type(const Program& p, const Op& op) {
  constexpr mil::DTypes kKnown = mil::kMovable | mil::one_of({DType::I4, DType::U4, DType::U1, DType::U2, DType::U3, DType::U6, DType::String});
  return std::any_of(op.results.begin(), op.results.end(), [&](mil::ValueId v) {
    return p.type(v).kind == mil::Type::Kind::Tensor && !kKnown.has(p.type(v).dtype());
  });
}

// A parameter that has a default, left to it.
bool leaves_a_parameter_out(const Program& p, const Op& op) {
  return std::any_of(op.def->inputs.begin(), op.def->inputs.end(), [&](const mil::Input& in) {
    return in.fallback.kind != mil::Default::Kind::None && !p.operand(op, in.name);
  });
}

bool is_there(const Program&, const Op&) { return true; }

// ---- indexing and movement

// An index that is a constant with a negative entry.
bool has_negative_indices(const Program& p, const Op& op) {
  const auto indices = small_ints(p, op, "indices");
  return indices && std::any_of(indices->begin(), indices->end(), [](int64_t i) { return i < 0; });
}

bool has_scalar_index_off_axis_0(const Program& p, const Op& op) {
  const auto axis = small_ints(p, op, "axis");
  const auto* indices = type_of(p, op, "indices");
  return indices && indices->rank() == 0 && axis && !axis->empty() && axis->front() != 0;
}

bool squeezes_while_slicing(const Program& p, const Op& op) { return is_set(p, op, "squeeze_mask"); }

bool squeezes_a_longer_axis(const Program& p, const Op& op) {
  const auto* x = type_of(p, op, "x");
  const auto axes = small_ints(p, op, "axes");
  if (!x || !axes) return false;
  for (int64_t axis : *axes) {
    const int64_t at = axis < 0 ? axis + x->rank() : axis;
    if (at < 0 || at >= x->rank()) return true;
    const Dim size = x->shape()[static_cast<size_t>(at)];
    if (size.is_constant() && size != Dim(1)) return true;
  }
  return false;
}

// "reflect" and "replicate" work on the last two axes.
bool pads_an_inner_axis(const Program& p, const Op& op) {
  const auto mode = text(p, op, "mode");
  const auto pad = small_ints(p, op, "pad");
  if (!mode || *mode == "constant" || !pad) return false;
  for (size_t i = 0; i + 4 < pad->size(); ++i)
    if ((*pad)[i] != 0) return true;
  return false;
}

bool has_narrow_indices(const Program& p, const Op& op) {
  const auto* indices = type_of(p, op, "indices");
  return indices && bit_width(indices->dtype()) < 32;
}

// The step of a range in steps that float arithmetic does not add up.
bool has_tiny_steps(const Program& p, const Op& op) {
  const auto step = small_float(p, op, "step");
  return step && *step != 0 && std::abs(*step) < 1e-4f;
}

// A reduction to a position of a tensor without other axes.
bool finds_a_position_in_a_row(const Program& p, const Op& op) {
  const auto* x = type_of(p, op, "x");
  return x && x->rank() < 2;
}

constexpr std::string_view kIndexing = "gather gather_along_axis gather_nd scatter scatter_along_axis scatter_nd";

// ---- matrices and convolutions

bool multiplies_integers(const Program& p, const Op& op) {
  const auto* x = type_of(p, op, "x");
  return x && !is_float(x->dtype());
}

bool multiplies_a_vector(const Program& p, const Op& op) {
  const auto *x = type_of(p, op, "x"), *y = type_of(p, op, "y");
  return (x && x->rank() < 2) || (y && y->rank() < 2);
}

bool has_computed_weight(const Program& p, const Op& op) { return !is_weight(p, p.operand(op, "weight")); }

bool has_dynamic_operand(const Program& p, const Op& op) {
  return std::any_of(op.operands.begin(), op.operands.end(), [&](const mil::Binding& b) { return !p.type(b.operand).tensor.is_static(); });
}

bool has_dynamic_mask(const Program& p, const Op& op) {
  const auto* mask = type_of(p, op, "attn_mask");
  return mask && !mask->tensor.is_static();
}

// ---- pooling, resizing, recurrence

bool has_ceil_mode(const Program& p, const Op& op) { return is_set(p, op, "ceil_mode"); }

bool is_1d_same_lower(const Program& p, const Op& op) {
  const auto* x = type_of(p, op, "x");
  return x && x->rank() == 3 && text(p, op, "pad_type") == "same_lower";
}

bool is_rank_3(const Program& p, const Op& op) {
  const auto* x = type_of(p, op, "x");
  return x && x->rank() < 4;
}

bool scales_by_a_fraction(const Program& p, const Op& op) {
  for (std::string_view name : {"scale_factor_height", "scale_factor_width"})
    if (const auto factor = small_float(p, op, name); factor && *factor != static_cast<float>(static_cast<int>(*factor))) return true;
  return false;
}

bool has_a_batch(const Program& p, const Op& op) {
  const auto* x = type_of(p, op, "x");
  return x && x->rank() == 3 && x->shape()[1] != Dim(1);
}

bool has_vanishing_epsilon(const Program& p, const Op& op) {
  const auto* epsilon = type_of(p, op, "epsilon");
  return epsilon && epsilon->dtype() == DType::F16 && small_float(p, op, "epsilon") == 0.0f;
}

bool is_odd_prelu(const Program& p, const Op& op) {
  const auto* x = type_of(p, op, "x");
  return x && (x->rank() == 3 || x->rank() == 5);
}

bool reads_float16(const Program& p, const Op& op) {
  for (const mil::Binding& b : op.operands)
    if (p.type(b.operand).dtype() == DType::F16) return true;
  return false;
}

// ---- compression

bool has_table_of_8_entries(const Program& p, const Op& op) {
  const auto* table = type_of(p, op, "lut");
  return p.target < Target::iOS18 && table && table->tensor.elements() == 8;
}

bool scales_a_table(const Program& p, const Op& op) {
  const Operand data = p.operand(op, "data");
  const mil::OpId producer = data.is_value() ? p.values[data.value()].producer : mil::OpId{};
  return producer && p.ops[producer].def->name == "constexpr_lut_to_dense";
}

constexpr OpRule kRules[] = {
    {"deep-tensor", "*", "tensors have at most 5 axes", "merge axes before, split them after", Documented, "#1723, #2291", has_deep_result},
    {"empty-tensor", "*", "a tensor without elements does not compile", "leave it out", CoremltoolsSource, "rdar://112418424",
     has_empty_result},
    {"element-type", "*", "there are no 64-bit, uint32 or complex tensors", "cast to int32 or float32", Documented, "the op reference",
     has_unknown_type},
    {"missing-parameter", "*", "the parser wants every parameter of the op, those with defaults too", "write the default",
     CoremltoolsSource, "rdar://106152706", leaves_a_parameter_out},

    {"negative-index", kIndexing, "negative constant indices are not counted from the end on every device", "add the size of the axis to them",
     CoremltoolsSource, "rdar://128089254, rdar://133476254", has_negative_indices},
    {"scalar-index", "gather", "a scalar index is right along axis 0 only", "gather with an index of shape [1], then squeeze", CoremltoolsSource,
     "rdar://73160449", has_scalar_index_off_axis_0},
    {"squeeze-mask", "slice_by_index", "squeeze_mask is ignored beside a slice of another axis", "slice, then squeeze", CoremltoolsSource,
     "#1710, rdar://103365766", squeezes_while_slicing},
    {"narrow-index", kIndexing, "16-bit indices wrap beyond 32767", "use int32 indices", CoremltoolsSource, "#2222", has_narrow_indices},
    {"slice-update", "slice_update", "slices are written wrongly outside of the CPU", "concatenate slices, or scatter", CoremltoolsSource,
     "rdar://128024502, rdar://133494070", is_there},
    {"tiny-range-step", "range_1d", "a range of tiny steps drifts", "use a constant, or count in integers and scale", CoremltoolsSource,
     "rdar://88998831", has_tiny_steps},
    {"position-in-a-row", "reduce_argmax reduce_argmin", "the position in a tensor of rank 1, or in a flattened one, crashes at times",
     "reduce a matrix of one row", OtherConverters, "ExecuTorch #11715", finds_a_position_in_a_row},
    {"squeeze-longer-axis", "squeeze", "the CPU and the GPU differ when the axis is longer than 1", "squeeze axes of size 1", CoremltoolsSource,
     "rdar://124555262", squeezes_a_longer_axis},
    {"pad-inner-axis", "pad", "reflect and replicate pad the last two axes only", "transpose the axis to the end, pad, transpose back",
     SeveralReports, "#2576, #2571", pads_an_inner_axis},

    {"integer-matmul", "matmul linear", "integer matrix products fail when the model is loaded", "cast to a float type", SeveralReports,
     "#2575, rdar://111421695", multiplies_integers},
    {"vector-matmul", "matmul", "an operand of rank 1 gives a wrong shape", "expand it to rank 2, then squeeze", SeveralReports, "#2263",
     multiplies_a_vector},
    {"conv-transpose-weight", "conv_transpose", "the weight must be a constant", "use a constant weight", Documented, "#853", has_computed_weight},
    {"dynamic-einsum", "einsum", "sizes that vary fail after macOS 14.2", "use matmul, or static sizes", CoremltoolsSource,
     "rdar://120386990, rdar://139827570", has_dynamic_operand},
    {"dynamic-attention-mask", "scaled_dot_product_attention", "a mask of dynamic shape fails", "use matmul and softmax, or a static mask",
     CoremltoolsSource, "rdar://139460266", has_dynamic_mask},

    {"ceil-mode", "avg_pool max_pool l2_pool", "Core ML's ceil_mode gives other sizes than PyTorch's", "pad explicitly", CoremltoolsSource,
     "rdar://80050546", has_ceil_mode},
    {"same-lower-1d", "avg_pool max_pool l2_pool", "pad_type same_lower is wrong for 1-d pooling", "pad explicitly", CoremltoolsSource,
     "rdar://98852008", is_1d_same_lower},
    {"resize-rank-3", "resize_bilinear resize_nearest_neighbor upsample_bilinear upsample_nearest_neighbor",
     "inputs of rank 3 fail to load, or crash", "add an axis, then squeeze", CoremltoolsSource, "rdar://78343191", is_rank_3},
    {"fractional-upsampling", "upsample_nearest_neighbor", "fractional scales are wrong on the GPU", "use integer scales, or gather",
     CoremltoolsSource, "rdar://97398448", scales_by_a_fraction},
    {"literal-arguments", "reshape_like classify", "the loader takes their arguments as literals only, not as constants", "use reshape",
     CoremltoolsSource, "rdar://98689808", is_there},
    {"crop-resize", "crop_resize", "it is wrong on the GPU, and fails for sizes that vary", "use gather", CoremltoolsSource,
     "rdar://97398582, rdar://128585772", is_there},
    {"batched-gru", "gru", "only the first entry of a batch is computed", "run the entries one by one, or use basic ops", CoremltoolsSource,
     "rdar://59644603", has_a_batch},
    {"float16-nms", "non_maximum_suppression", "float16 selects other boxes", "use float32", CoremltoolsSource, "rdar://103891349", reads_float16},
    {"float16-prelu", "prelu", "float16 is wrong", "use relu(x) - alpha * relu(-x)", CoremltoolsSource, "rdar://92175249", reads_float16},
    {"prelu-rank", "prelu", "slopes of channels are wrong for tensors of rank 3 and 5", "use relu(x) - alpha * relu(-x)",
     CoremltoolsSource, "rdar://91442339", is_odd_prelu},
    {"vanishing-epsilon", "layer_norm instance_norm l2_norm", "an epsilon of 0 in float16 divides by zero", "raise it to 2^-23",
     CoremltoolsSource, "_check_underflow_to_zero", has_vanishing_epsilon},
    {"float16-softplus", "softplus", "float16 drops to 0 above 10.4 on the Neural Engine", "use max(x, 0) + log(1 + exp(-|x|))", SeveralReports,
     "#2687, #2814", reads_float16},

    {"lut-of-8", "constexpr_lut_to_dense", "tables have 2, 4, 16, 64 or 256 entries before iOS18", "use another number of bits, or target iOS18",
     Documented, "the guide to palettization", has_table_of_8_entries},
    {"scaled-lut", "constexpr_blockwise_shift_scale", "a table with a scale for each channel fails to load on macOS 26",
     "multiply after the layer", SeveralReports, "#2688", scales_a_table},
};

}  // namespace

std::span<const OpRule> op_rules() { return kRules; }

}  // namespace cortland::device_rules
