#include "mil_passes/pipeline.h"

#include <algorithm>

namespace cortland::mil_passes {
namespace {

constexpr Pass kPipeline[] = {
    {"common::dead_code_elimination", remove_dead_ops},
    {"common::noop_elimination", remove_noops},
    {"common::remove_redundant_ops", share_equal_ops},
    {"common::narrow_counts", narrow_counts},
    {"common::fuse_gelu_tanh_approximation", fuse_gelu_tanh_approximation},
    {"common::fuse_gelu_exact", fuse_gelu_exact},
    {"common::fuse_leaky_relu", fuse_leaky_relu},
    {"common::fuse_hardswish", fuse_hardswish},
    {"mil_backend::fuse_activation_silu", fuse_silu},
    {"common::merge_consecutive_relus", merge_consecutive_relus},
    {"common::fuse_layernorm_or_instancenorm", fuse_layernorm_or_instancenorm},
    {"common::fuse_rms_norm", fuse_rms_norm},
    {"common::fuse_reduce_mean", fuse_reduce_mean},
    {"common::fuse_l2_norm", fuse_l2_norm},
    {"common::fuse_softmax", fuse_softmax},
    {"common::merge_consecutive_reshapes", merge_consecutive_reshapes},
    {"common::merge_consecutive_transposes", merge_consecutive_transposes},
    {"common::merge_consecutive_paddings", merge_consecutive_paddings},
    {"common::fuse_pad_conv", fuse_pad_conv},
    {"common::slices_to_split", slices_to_split},
    {"common::fuse_transpose_matmul", fuse_transpose_matmul},
    {"common::fuse_attention", fuse_attention},
    {"common::detect_concat_interleave", detect_concat_interleave},
    {"common::fuse_conv_batchnorm", fuse_batchnorm},
    {"common::fuse_conv_scale", fuse_scale},
    {"common::fuse_conv_bias", fuse_bias},
    {"common::fuse_elementwise_to_batchnorm", fuse_elementwise_to_batchnorm},
    {"common::reduce_transposes", reduce_transposes},
    {"common::merge_consecutive_transposes", merge_consecutive_transposes},
    {"common::merge_consecutive_reshapes", merge_consecutive_reshapes},
    {"common::noop_elimination", remove_noops},
    {"common::remove_redundant_ops", share_equal_ops},
    {"common::dead_code_elimination", remove_dead_ops},
};

Status run(mil::Program& program, const Pass& pass, const AfterPass& after) {
  TRY_DO(pass.run(program));
  return after ? after(pass.name, program) : Status();
}

}  // namespace

std::span<const Pass> pipeline() { return kPipeline; }

Status run_pipeline(mil::Program& program, const AfterPass& after) {
  if (after) TRY_DO(after({}, program));
  for (const Pass& pass : pipeline()) TRY_DO(run(program, pass, after));
  return {};
}

Status run_pipeline(mil::Program& program, std::span<const std::string> names, const AfterPass& after) {
  if (after) TRY_DO(after({}, program));
  for (const std::string& name : names) {
    const auto pass = std::ranges::find(pipeline(), name, &Pass::name);
    if (pass != pipeline().end()) TRY_DO(run(program, *pass, after));
  }
  return {};
}

}  // namespace cortland::mil_passes
