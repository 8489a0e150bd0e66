// The options that `lower` and `convert` share, and what they stand for: methods with their partitioners.
#pragma once

#include <CLI/CLI.hpp>

#include "cortland/cortland.h"

namespace cortland::cli {

struct LoweringArguments {
  std::string input;
  std::vector<std::string> methods;  // "decode=decode.pt2"
  std::vector<std::string> skip_ops, float32_ops, enumerated_shapes, pass_names, compile_specs;
  std::string target, precision, compute_unit, model_type, quantizer_config, compress, weight_sharing;
  bool take_over_mutable_buffer = true, take_over_constant_data = true, full_graph = false;
};

void add_lowering_options(CLI::App& app, LoweringArguments& arguments);

Result<std::vector<Method>> methods_of(const LoweringArguments& arguments);

}  // namespace cortland::cli
