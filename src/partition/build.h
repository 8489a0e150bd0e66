// Building the Core ML program of one part of a graph.
#pragma once

#include <unordered_set>

#include "partition/decide.h"
#include "partition/numbers.h"

namespace cortland::partition {

// A mutable buffer that the part holds as Core ML state: the value it has before the call, and after.
struct OwnedBuffer {
  torch::ValueId before, after;
};

struct Part {
  std::vector<torch::NodeId> nodes;     // in execution order
  std::vector<torch::ValueId> outputs;  // values wanted outside
  std::vector<std::string> output_names;  // as many; chosen from the values' names when empty
  std::vector<OwnedBuffer> states;
  std::unordered_set<torch::ValueId> read_in_float16;  // of values from outside: see Decision
  std::unordered_set<torch::NodeId> float32_nodes;     // see Decision
  Numbers numbers;                                     // of the whole graph
  std::shared_ptr<torch_ops::Float16Range> float16_range;
};

// Lowers the nodes into a function `main`. Inputs are those `required` (even if unused), then what the nodes read from
// outside, in order of first use, then tensors needed only for their sizes.
Result<Delegate> build_delegate(const torch::Graph& graph, const Part& part, const std::vector<torch::ValueId>& required,
                                const PartitionOptions& options);

// The whole graph, which `decision` is about, as one delegate: user inputs and outputs in order. options.lower_full_graph is set. A
// buffer that cannot become a state is an error, or noted in `kept_outside` and then an input and an output.
Result<Delegate> lower_whole(torch::Graph& graph, const Decision& decision, const PartitionOptions& options,
                             std::vector<Diagnostic>* kept_outside);

}  // namespace cortland::partition
