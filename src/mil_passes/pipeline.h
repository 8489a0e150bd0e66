// The passes over MIL. Each is a function that keeps what the program computes; the list in pipeline.cc is the order.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>

#include "mil/program.h"

namespace cortland::mil_passes {

// Called before the first pass, with an empty name, and after each.
using AfterPass = std::function<Status(std::string_view pass, const mil::Program& program)>;

struct PipelineOptions {
  // The passes to run, in this order; check_pass_names() holds of them. Names the pipeline has no pass for do nothing. Not set:
  // the whole pipeline.
  std::optional<std::span<const std::string>> names = {};
  AfterPass after = {};
  std::unordered_set<int32_t> float32_origins = {};  // ops of these torch nodes keep float32
};

struct Pass {
  std::string_view name;  // upstream's, where the pass is the same
  Status (*run)(mil::Program&, const PipelineOptions&);
};

std::span<const Pass> pipeline();
Status run_pipeline(mil::Program& program, const PipelineOptions& options = {});

// Drops pure ops whose results nobody reads, nested blocks included.
Status remove_dead_ops(mil::Program& program);
// Makes one of pure ops that do the same with the same operands.
Status share_equal_ops(mil::Program& program);
// Removes ops that change nothing: identity, casts, reshapes and slices to what is there already, x + 0, x * 1.
Status remove_noops(mil::Program& program);

// One reshape for a chain of reshape, expand_dims and squeeze; one transpose for two.
Status merge_consecutive_reshapes(mil::Program& program);
Status merge_consecutive_transposes(mil::Program& program);
// A transpose of the last two axes becomes a flag of the matmul that reads it.
Status fuse_transpose_matmul(mil::Program& program);
// Moves transposes through ops that work in any layout, to where the fewest are left.
Status reduce_transposes(mil::Program& program);
// One pad for two, and none before a convolution.
Status merge_consecutive_paddings(mil::Program& program);
Status fuse_pad_conv(mil::Program& program);
// One split for slices that lie side by side.
Status slices_to_split(mil::Program& program);
// Large masks that compare rows with columns are computed from two vectors.
Status factor_masks(mil::Program& program);
// A concatenation followed by a channel shuffle interleaves.
Status detect_concat_interleave(mil::Program& program);

// Fold y * scale + shift into the weights of what computes y: a batch norm, a product or quotient, a sum or difference.
Status fuse_batchnorm(mil::Program& program);
Status fuse_scale(mil::Program& program);
Status fuse_bias(mil::Program& program);
// What is left of products and sums with one number for each channel.
Status fuse_elementwise_to_batchnorm(mil::Program& program);

// Keeps counts made of integers out of float32 where float16 reads them.
Status narrow_counts(mil::Program& program, const PipelineOptions& options);

// Spelled-out activations and norms as one op.
Status fuse_gelu_exact(mil::Program& program);
Status fuse_gelu_tanh_approximation(mil::Program& program);
Status fuse_silu(mil::Program& program);
Status fuse_hardswish(mil::Program& program);
Status fuse_leaky_relu(mil::Program& program);
Status merge_consecutive_relus(mil::Program& program);
Status fuse_layernorm_or_instancenorm(mil::Program& program);
Status fuse_rms_norm(mil::Program& program);
Status fuse_reduce_mean(mil::Program& program);
Status fuse_l2_norm(mil::Program& program);
Status fuse_softmax(mil::Program& program);
// From iOS18 on.
Status fuse_attention(mil::Program& program);

}  // namespace cortland::mil_passes
