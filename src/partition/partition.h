// Partitioning: which nodes of a functional torch graph go to Core ML, in which delegates, and why the others do not.
// Support is tried, never predicted: a node is supported exactly when its lowering succeeds for the chosen options.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "mil/program.h"
#include "partition/options.h"
#include "torch/graph.h"
#include "torch_ops/op.h"

namespace cortland::partition {

// One part of the graph as a Core ML program. Call arguments are `inputs` then `outputs`, matched by position with the
// names of the program's features.
struct Delegate {
  std::string name;                     // "lowered_module_0"
  std::vector<torch::NodeId> nodes;     // in execution order
  std::vector<torch::ValueId> inputs;   // values computed outside, in order of first use
  std::vector<torch::ValueId> outputs;  // values used outside, in execution order
  std::vector<std::string> input_names, output_names;
  mil::Program program;
};

// A node that stays on ExecuTorch's kernels, and the reason.
struct CpuOp {
  torch::NodeId node;
  Diagnostic reason;
  std::string kept_whole;  // why it could not be taken apart into simpler operators; may be empty
};

struct Step {
  std::variant<torch::NodeId, size_t> what;  // a node, or an index into `delegates`
};

struct PartitionedGraph {
  torch::Graph graph;           // functional; nodes computed at lowering time have become constant inputs
  std::vector<Delegate> delegates;
  std::vector<Step> steps;      // execution order
  std::vector<CpuOp> cpu_ops;   // without size arithmetic, which costs nothing and is not reported
  std::vector<Diagnostic> warnings;
};

// Takes a functional graph (torch_passes/functionalize.h). With lower_full_graph the error lists every refused node.
Result<PartitionedGraph> partition_graph(torch::Graph graph, const PartitionOptions& options);

// The whole graph as one Core ML model (`cortland convert`): user inputs and outputs keep their names. Mutable buffers that
// cannot be states are inputs and outputs, which `warnings` say.
Result<mil::Program> convert_graph(torch::Graph graph, const PartitionOptions& options, std::vector<Diagnostic>* warnings);

// The operator's name as exported and as ExecuTorch's edge dialect has it; they may be equal.
using torch_ops::edge_name;

// Sizes and their arithmetic: nodes that produce no tensor.
bool is_symbolic_node(const torch::Graph& graph, const torch::Node& node);

}  // namespace cortland::partition
