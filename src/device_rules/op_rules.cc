// The rules on single ops, by family. Numbers after # are issues of apple/coremltools, rdar numbers stand in its sources.
#include <algorithm>

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

bool slices_nothing(const Program& p, const Op& op) {
  const auto& shape = p.type(op.results[0]).shape();
  return std::find(shape.begin(), shape.end(), Dim(0)) != shape.end();
}

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

constexpr OpRule kRules[] = {
    {"negative-index", kIndexing, "negative constant indices are not counted from the end on every device", "add the size of the axis to them",
     CoremltoolsSource, "rdar://128089254, rdar://133476254", has_negative_indices},
    {"scalar-index", "gather", "a scalar index is right along axis 0 only", "gather with an index of shape [1], then squeeze", CoremltoolsSource,
     "rdar://73160449", has_scalar_index_off_axis_0},
    {"squeeze-mask", "slice_by_index", "squeeze_mask is ignored beside a slice of another axis", "slice, then squeeze", CoremltoolsSource,
     "#1710, rdar://103365766", squeezes_while_slicing},
    {"empty-slice", "slice_by_index slice_by_size split", "a slice without elements does not compile", "leave it out", CoremltoolsSource,
     "rdar://112418424", slices_nothing},
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
    {"batched-gru", "gru", "only the first entry of a batch is computed", "run the entries one by one, or use basic ops", CoremltoolsSource,
     "rdar://59644603", has_a_batch},
    {"float16-nms", "non_maximum_suppression", "float16 selects other boxes", "use float32", CoremltoolsSource, "rdar://103891349", reads_float16},
    {"float16-prelu", "prelu", "float16 is wrong", "use relu(x) - alpha * relu(-x)", CoremltoolsSource, "rdar://92175249", reads_float16},
    {"float16-softplus", "softplus", "float16 drops to 0 above 10.4 on the Neural Engine", "use max(x, 0) + log(1 + exp(-|x|))", SeveralReports,
     "#2687, #2814", reads_float16},

    {"lut-of-8", "constexpr_lut_to_dense", "tables have 2, 4, 16, 64 or 256 entries before iOS18", "use another number of bits, or target iOS18",
     Documented, "the guide to palettization", has_table_of_8_entries},
};

}  // namespace

std::span<const OpRule> op_rules() { return kRules; }

}  // namespace cortland::device_rules
