#include "mil_passes/pipeline.h"

#include <algorithm>

namespace cortland::mil_passes {
namespace {

// Most passes have no options.
template <Status (*pass)(mil::Program&)>
Status plain(mil::Program& program, const PipelineOptions&) {
  return pass(program);
}

constexpr Pass kPipeline[] = {
    {"common::dead_code_elimination", plain<remove_dead_ops>},
    {"common::noop_elimination", plain<remove_noops>},
    {"common::remove_redundant_ops", plain<share_equal_ops>},
    {"common::narrow_counts", narrow_counts},
    {"common::fuse_gelu_tanh_approximation", plain<fuse_gelu_tanh_approximation>},
    {"common::fuse_gelu_exact", plain<fuse_gelu_exact>},
    {"common::fuse_leaky_relu", plain<fuse_leaky_relu>},
    {"common::fuse_hardswish", plain<fuse_hardswish>},
    {"mil_backend::fuse_activation_silu", plain<fuse_silu>},
    {"common::merge_consecutive_relus", plain<merge_consecutive_relus>},
    {"common::fuse_layernorm_or_instancenorm", plain<fuse_layernorm_or_instancenorm>},
    {"common::fuse_rms_norm", plain<fuse_rms_norm>},
    {"common::fuse_reduce_mean", plain<fuse_reduce_mean>},
    {"common::fuse_l2_norm", plain<fuse_l2_norm>},
    {"common::fuse_softmax", plain<fuse_softmax>},
    {"common::merge_consecutive_reshapes", plain<merge_consecutive_reshapes>},
    {"common::merge_consecutive_transposes", plain<merge_consecutive_transposes>},
    {"common::merge_consecutive_paddings", plain<merge_consecutive_paddings>},
    {"common::fuse_pad_conv", plain<fuse_pad_conv>},
    {"common::slices_to_split", plain<slices_to_split>},
    {"common::fuse_transpose_matmul", plain<fuse_transpose_matmul>},
    {"common::fuse_attention", plain<fuse_attention>},
    {"common::detect_concat_interleave", plain<detect_concat_interleave>},
    {"common::fuse_conv_batchnorm", plain<fuse_batchnorm>},
    {"common::fuse_conv_scale", plain<fuse_scale>},
    {"common::fuse_conv_bias", plain<fuse_bias>},
    {"common::fuse_elementwise_to_batchnorm", plain<fuse_elementwise_to_batchnorm>},
    {"common::reduce_transposes", plain<reduce_transposes>},
    {"common::merge_consecutive_transposes", plain<merge_consecutive_transposes>},
    {"common::merge_consecutive_reshapes", plain<merge_consecutive_reshapes>},
    {"common::factor_masks", plain<factor_masks>},
    {"common::noop_elimination", plain<remove_noops>},
    {"common::remove_redundant_ops", plain<share_equal_ops>},
    {"common::dead_code_elimination", plain<remove_dead_ops>},
};

Status run(mil::Program& program, const Pass& pass, const PipelineOptions& options) {
  TRY_DO(pass.run(program, options));
  return options.after ? options.after(pass.name, program) : Status();
}

}  // namespace

std::span<const Pass> pipeline() { return kPipeline; }

Status run_pipeline(mil::Program& program, const PipelineOptions& options) {
  if (options.after) TRY_DO(options.after({}, program));
  if (!options.names) {
    for (const Pass& pass : pipeline()) TRY_DO(run(program, pass, options));
    return {};
  }
  for (const std::string& name : *options.names) {
    const auto pass = std::ranges::find(pipeline(), name, &Pass::name);
    if (pass != pipeline().end()) TRY_DO(run(program, *pass, options));
  }
  return {};
}

}  // namespace cortland::mil_passes
