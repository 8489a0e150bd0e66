#include "mil_passes/pipeline.h"

#include <algorithm>

namespace cortland::mil_passes {
namespace {

constexpr Pass kPipeline[] = {
    {"common::dead_code_elimination", remove_dead_ops},
    {"common::noop_elimination", remove_noops},
    {"common::fuse_conv_batchnorm", fuse_conv_batchnorm},
    {"common::remove_redundant_ops", share_equal_ops},
    {"common::dead_code_elimination", remove_dead_ops},
};

}  // namespace

std::span<const Pass> pipeline() { return kPipeline; }

Status run_pipeline(mil::Program& program) {
  for (const Pass& pass : pipeline()) TRY_DO(pass.run(program));
  return {};
}

Status run_pipeline(mil::Program& program, std::span<const std::string> names) {
  for (const std::string& name : names) {
    const auto pass = std::ranges::find(pipeline(), name, &Pass::name);
    if (pass != pipeline().end()) TRY_DO(pass->run(program));
  }
  return {};
}

}  // namespace cortland::mil_passes
