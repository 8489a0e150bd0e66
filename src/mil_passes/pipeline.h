// The passes over MIL. Each is a function that keeps what the program computes; the list in pipeline.cc is the order.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "mil/program.h"

namespace cortland::mil_passes {

struct Pass {
  std::string_view name;  // upstream's, where the pass is the same
  Status (*run)(mil::Program&);
};

std::span<const Pass> pipeline();
Status run_pipeline(mil::Program& program);
// Runs the passes of these names in this order; check_pass_names() holds of them. Names the pipeline has no pass for do nothing.
Status run_pipeline(mil::Program& program, std::span<const std::string> names);

// Drops pure ops whose results nobody reads, nested blocks included.
Status remove_dead_ops(mil::Program& program);
// Makes one of pure ops that do the same with the same operands.
Status share_equal_ops(mil::Program& program);
// Removes ops that change nothing: identity, casts, reshapes and transposes to what is there already, and chains of two
// reshapes or transposes of which one would do.
Status remove_noops(mil::Program& program);
// Folds a batch norm into the convolution that feeds it, and into nothing else.
Status fuse_conv_batchnorm(mil::Program& program);

}  // namespace cortland::mil_passes
