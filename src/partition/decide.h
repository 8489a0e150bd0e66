// Deciding which nodes Core ML can run, by lowering each in turn on a scratch program.
#pragma once

#include <unordered_map>
#include <unordered_set>

#include "partition/partition.h"
#include "torch_ops/lowering_state.h"

namespace cortland::partition {

struct Decision {
  std::unordered_map<torch::NodeId, Diagnostic> refused;  // nodes for the CPU; the rest is supported
  std::unordered_map<torch::NodeId, std::string> kept_whole;  // of those, why some could not be taken apart
  uint64_t weight_bytes = 0;  // of the constants that the supported nodes read
  // Float values that are float16 in the lowered graph, or that something computed from them is: at the border of a delegate
  // these become float16 at once, so that nothing before is left in float32 and off the Neural Engine. What only meets
  // element-wise operators on its way to the outputs keeps float32 and its range.
  std::unordered_set<torch::ValueId> read_in_float16;
  // What computes in float32 at float16 precision: on request, with all that a node was taken apart into, or because a constant
  // needs it.
  std::unordered_set<torch::NodeId> float32_nodes;
  std::shared_ptr<torch_ops::Float16Range> float16_range;  // what was found out about the weights, for those who lower the graph again
};

// A graph with what was decided about it for the options it was decided for.
struct Decided {
  torch::Graph graph;
  Decision decision;
};

// Decides for every node of `graph`, in order. Refused nodes that have a decomposition are replaced by its parts, which are
// decided in turn. Nodes whose results are known now become constant inputs of the graph.
// `range` may know of some weights already.
// Begins to find out on a thread of its own which constants of the graph float16 cannot hold, as far as decide() with this range will ask.
// The graph may have its inputs only.
void look_ahead(const torch::Graph& graph, const PartitionOptions& options, torch_ops::Float16Range& range);

Result<Decision> decide(torch::Graph& graph, const PartitionOptions& options,
                        std::shared_ptr<torch_ops::Float16Range> range = std::make_shared<torch_ops::Float16Range>());

// As the functions of partition.h, with that work already done for the same options.
Result<PartitionedGraph> partition_graph(Decided decided, const PartitionOptions& options);
Result<mil::Program> convert_graph(Decided decided, const PartitionOptions& options, std::vector<Diagnostic>* warnings);

// The MIL type a value has at the border of a delegate: floats as float32 (float16 tensors as float16 from iOS16 on),
// integers as int32, bools as float32, scalars as [1].
mil::Type border_type(const TensorType& type, mil::Target target);

// Weights a delegate may hold as constants: parameters, buffers that nobody writes, tensor constants.
bool is_constant_input(const torch::Graph& graph, const torch::GraphInput& input, const PartitionOptions& options);

// Why a mutated buffer cannot be a Core ML state, or nothing. States start at zero, are float16 and have a fixed shape.
std::string why_not_state(const torch::Graph& graph, const torch::GraphInput& buffer, const PartitionOptions& options);

}  // namespace cortland::partition
