#include "mil_passes/pass_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "base/spelling.h"
#include "mil_passes/pipeline.h"

namespace cortland::mil_passes {
namespace {

constexpr PassName kPassNames[] = {
    {"common::WeightRandomizer", PassRole::Elsewhere},
    {"common::add_conv_transpose_output_shape", PassRole::Unnecessary},
    {"common::add_fp16_cast", PassRole::Unnecessary},
    {"common::add_int16_cast", PassRole::Rewrite},
    {"common::canonicalize_inplace_pattern", PassRole::Unnecessary},
    {"common::canonicalize_quantized_lut_pattern", PassRole::Rewrite},
    {"common::cast_optimization", PassRole::Rewrite},
    {"common::compose_conv1d", PassRole::Rewrite},
    {"common::concat_to_pixel_shuffle", PassRole::Rewrite},
    {"common::const_deduplication", PassRole::Unnecessary},
    {"common::const_elimination", PassRole::Unnecessary},
    {"common::dead_code_elimination", PassRole::Rewrite},
    {"common::dedup_op_and_var_names", PassRole::Unnecessary},
    {"common::dequantize_quantize_pair_elimination", PassRole::Rewrite},
    {"common::dequantize_to_constexpr", PassRole::Rewrite},
    {"common::detect_concat_interleave", PassRole::Rewrite},
    {"common::distributive_quantized_binary_op_scale_normalization", PassRole::Rewrite},
    {"common::divide_to_multiply", PassRole::Rewrite},
    {"common::expand_dynamic_linear", PassRole::Rewrite},
    {"common::expand_high_rank_reshape_and_transpose", PassRole::Unnecessary},
    {"common::fuse_conv_batchnorm", PassRole::Rewrite},
    {"common::fuse_conv_bias", PassRole::Rewrite},
    {"common::fuse_conv_scale", PassRole::Rewrite},
    {"common::fuse_dilated_conv", PassRole::Rewrite},
    {"common::fuse_elementwise_to_batchnorm", PassRole::Rewrite},
    {"common::fuse_gelu_exact", PassRole::Rewrite},
    {"common::fuse_gelu_tanh_approximation", PassRole::Rewrite},
    {"common::fuse_layernorm_or_instancenorm", PassRole::Rewrite},
    {"common::fuse_leaky_relu", PassRole::Rewrite},
    {"common::fuse_linear_bias", PassRole::Rewrite},
    {"common::fuse_matmul_weight_bias", PassRole::Rewrite},
    {"common::fuse_onehot_matmul_to_gather", PassRole::Rewrite},
    {"common::fuse_pad_conv", PassRole::Rewrite},
    {"common::fuse_prelu", PassRole::Rewrite},
    {"common::fuse_reduce_mean", PassRole::Rewrite},
    {"common::fuse_squeeze_expand_dims", PassRole::Rewrite},
    {"common::fuse_stack_split", PassRole::Rewrite},
    {"common::fuse_transpose_matmul", PassRole::Rewrite},
    {"common::guard_negative_gather_indices", PassRole::Unnecessary},
    {"common::image_input_preprocess", PassRole::Elsewhere},
    {"common::int_op_canonicalization", PassRole::Unnecessary},
    {"common::loop_invariant_elimination", PassRole::Rewrite},
    {"common::lower_complex_dialect_ops", PassRole::Unnecessary},
    {"common::materialize_symbolic_shape_program", PassRole::Elsewhere},
    {"common::merge_affine_dequantize_with_consecutive_ops", PassRole::Rewrite},
    {"common::merge_consecutive_paddings", PassRole::Rewrite},
    {"common::merge_consecutive_relus", PassRole::Rewrite},
    {"common::merge_consecutive_reshapes", PassRole::Rewrite},
    {"common::merge_consecutive_transposes", PassRole::Rewrite},
    {"common::noop_elimination", PassRole::Rewrite},
    {"common::nullify_redundant_quantization_zero_point", PassRole::Rewrite},
    {"common::prefer_state_in_downstream", PassRole::Unnecessary},
    {"common::prelu_to_lrelu", PassRole::Rewrite},
    {"common::rank0_expand_dims_swap", PassRole::Rewrite},
    {"common::reduce_transposes", PassRole::Rewrite},
    {"common::remove_redundant_ops", PassRole::Rewrite},
    {"common::remove_symbolic_reshape", PassRole::Unnecessary},
    {"common::reorder_lut_per_channel_scale", PassRole::Rewrite},
    {"common::replace_stack_reshape", PassRole::Rewrite},
    {"common::sanitize_input_output_names", PassRole::Unnecessary},
    {"common::scaled_dot_product_attention_sliced_q", PassRole::Elsewhere},
    {"common::select_optimization", PassRole::Rewrite},
    {"common::topological_reorder", PassRole::Unnecessary},
    {"common::update_output_dtypes", PassRole::Unnecessary},
    {"common::use_reflection_padding", PassRole::Rewrite},
    {"compression::WeightDecompressor", PassRole::Elsewhere},
    {"compression::insert_prefix_quantize_dequantize_pair", PassRole::Elsewhere},
    {"compression::insert_suffix_quantize_dequantize_pair", PassRole::Elsewhere},
    {"compression::linear_quantize_weights", PassRole::Elsewhere},
    {"compression::palettize_weights", PassRole::Elsewhere},
    {"compression::prune_weights", PassRole::Elsewhere},
    {"mil_backend::adjust_io_to_supported_types", PassRole::Unnecessary},
    {"mil_backend::fuse_activation_silu", PassRole::Rewrite},
    {"mil_backend::fuse_pow2_sqrt", PassRole::Rewrite},
    {"mil_backend::insert_image_preprocessing_ops", PassRole::Elsewhere},
    {"mil_backend::sanitize_name_strings", PassRole::Unnecessary},
    {"nn_backend::alert_return_type_cast", PassRole::Elsewhere},
    {"nn_backend::commingle_loop_vars", PassRole::Elsewhere},
    {"nn_backend::decompose_conv1d", PassRole::Elsewhere},
    {"nn_backend::handle_return_inputs_as_outputs", PassRole::Elsewhere},
    {"nn_backend::handle_return_unused_inputs", PassRole::Elsewhere},
    {"nn_backend::handle_unused_inputs", PassRole::Elsewhere},
    {"tensorflow2::remove_vacuous_cond", PassRole::Elsewhere},
    {"tensorflow::backfill_make_list_elem_type", PassRole::Elsewhere},
    {"tensorflow::expand_tf_lstm", PassRole::Elsewhere},
    {"tensorflow::tf_lstm_to_core_lstm", PassRole::Elsewhere},
    {"torch::torch_tensor_assign_to_core", PassRole::Unnecessary},
    {"torch::torch_upsample_to_core_upsample", PassRole::Unnecessary},
};

bool in_pipeline(std::string_view name) {
  return std::ranges::any_of(pipeline(), [&](const Pass& pass) { return pass.name == name; });
}

const PassName* find(std::string_view name) {
  const auto it = std::ranges::lower_bound(kPassNames, name, {}, &PassName::name);
  return it != std::end(kPassNames) && it->name == name ? it : nullptr;
}

std::string_view without_group(std::string_view name) {
  const size_t colons = name.rfind("::");
  return colons == std::string_view::npos ? name : name.substr(colons + 2);
}

// People leave out the group or misspell the rest.
std::string suggestion(std::string_view wrong) {
  std::vector<std::string_view> known;
  for (const PassName& pass : kPassNames) known.push_back(pass.name);
  return did_you_mean(wrong, known, SIZE_MAX,
                      [](std::string_view a, std::string_view b) { return edit_distance(without_group(a), without_group(b)); });
}

constexpr size_t kLongestName = 200;  // that a message repeats

}  // namespace

std::span<const PassName> pass_names() { return kPassNames; }

Status check_pass_names(std::span<const std::string> names) {
  for (const std::string& name : names) {
    if (find(name) || in_pipeline(name)) continue;
    const std::string wrong = name.substr(0, kLongestName);
    return diag(DiagKind::BadOption, fmt::format("pass_names: there is no pass '{}'", wrong),
                suggestion(wrong));
  }
  return {};
}

std::vector<std::string> missing_passes(std::span<const std::string> names) {
  std::vector<std::string> missing;
  for (const std::string& name : names) {
    const PassName* known = find(name);
    if (known && known->role == PassRole::Rewrite && !in_pipeline(name) && std::ranges::find(missing, name) == missing.end())
      missing.push_back(name);
  }
  return missing;
}

}  // namespace cortland::mil_passes
