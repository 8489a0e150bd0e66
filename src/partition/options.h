// The options of CoreMLPartitioner and of its compile specs, under the names users know.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "mil/program.h"
#include "tensor/dtype.h"

namespace cortland::partition {

struct PartitionOptions {
  mil::Target target = mil::Target::iOS15;
  DType float_type = DType::F16;            // compute_precision
  std::set<std::string> skip_ops;           // lower case; exported or edge names, "aten.conv2d.default"; "*": all
  std::set<std::string> cpu_nodes;          // nodes that stay outside of Core ML, by name
  bool lower_full_graph = false;
  bool take_over_constant_data = true;
  bool take_over_mutable_buffer = true;
  // The shapes each dynamic input may take, by name; the lists are matched by position. Needs lower_full_graph.
  std::map<std::string, std::vector<std::vector<int64_t>>> enumerated_shapes;
  std::optional<std::vector<std::string>> pass_names;  // MIL passes to run, in this order; not set: the default pipeline
  std::function<Status(std::string_view pass, const mil::Program&)> after_pass;  // see mil_passes::run_pipeline
  std::set<std::string> float32_ops;        // compute in float32 at float16 precision: operators as in skip_ops, nodes by name
};

}  // namespace cortland::partition
