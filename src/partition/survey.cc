#include "partition/survey.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "partition/build.h"
#include "partition/decide.h"
#include "partition/enumerated_shapes.h"
#include "partition/numbers.h"
#include "torch_passes/functionalize.h"
#include "torch_passes/high_rank.h"

namespace cortland::partition {
namespace {

using torch::NodeId;
using torch::ValueId;
using Place = NodeVerdict::Place;

// A node before any pass. Passes and decompositions keep the ids of the values that a node gives.
struct Original {
  NodeVerdict verdict;
  std::vector<ValueId> results;
  std::vector<ValueId> numbers;  // symbolic arguments
  torch::SourceLoc source;
  bool symbolic = false;  // a size, or a number that parts can read
};

Result<torch::Graph> prepare(torch::Graph graph) {
  TRY(auto functional, torch_passes::functionalize(std::move(graph)));
  torch_passes::reduce_high_ranks(functional);
  return functional;
}

class Surveyor {
 public:
  explicit Surveyor(const torch::Graph& graph) {
    for (NodeId id : graph.order) {
      const torch::Node& node = graph.nodes[id];
      Original original{{node.name, node.target, Place::Anywhere, {}}, {}, {}, node.source, is_symbolic_node(graph, node) || number_read(graph, node)};
      for (ValueId v : node.results)
        if (v) original.results.push_back(v);
      for (const auto& a : node.args)
        for_each_value(a.arg, [&](ValueId v) {
          if (v && graph.values[v].kind != torch::Value::Kind::Tensor) original.numbers.push_back(v);
        });
      values_.insert(original.results.begin(), original.results.end());
      originals_.push_back(std::move(original));
    }
  }

  std::vector<NodeVerdict> judge(const torch::Graph& graph, const Decision& decision,
                                 const std::set<std::string>& cpu_nodes) {
    for (NodeId id : graph.order)
      for (ValueId v : graph.nodes[id].results)
        if (v) producers_[v] = id;
    std::vector<NodeVerdict> verdicts;
    for (Original& original : originals_) {
      if (original.symbolic)
        judge_number(original, cpu_nodes);
      else
        judge_node(original, graph, decision);
      verdicts.push_back(std::move(original.verdict));
    }
    return verdicts;
  }

 private:
  // Sizes can be computed wherever the tensors are, and so can numbers that a part can read; others cannot.
  void judge_number(Original& original, const std::set<std::string>& cpu_nodes) {
    if (cpu_nodes.count(original.verdict.name)) return refuse(original, "stays outside");
    if (number_from_outside(original)) return refuse(original, "computes with a number that is not a size of a tensor");
    sizes_.insert(original.results.begin(), original.results.end());
  }

  // The nodes that compute the results from what other nodes of the file give; refused if one of them is.
  void judge_node(Original& original, const torch::Graph& graph, const Decision& decision) {
    std::vector<NodeId> pending;
    std::unordered_set<NodeId> seen;
    auto visit = [&](ValueId v) {
      if (const auto it = producers_.find(v); v && it != producers_.end() && seen.insert(it->second).second)
        pending.push_back(it->second);
    };
    if (number_from_outside(original))
      return refuse(original, "takes a number that is computed outside; ExecuTorch hands tensors only to a delegate");
    for (ValueId v : original.results) visit(v);
    if (pending.empty()) return;  // folded, or dead
    original.verdict.place = Place::CoreMl;
    while (!pending.empty()) {
      const NodeId id = pending.back();
      pending.pop_back();
      if (const auto it = decision.refused.find(id); it != decision.refused.end()) {
        original.verdict.place = Place::Cpu;
        original.verdict.reason = it->second;
        return;
      }
      for (const auto& a : graph.nodes[id].args)
        for_each_value(a.arg, [&](ValueId v) {
          if (!values_.count(v)) visit(v);
        });
    }
  }

  bool number_from_outside(const Original& original) const {
    return std::any_of(original.numbers.begin(), original.numbers.end(), [&](ValueId v) { return !sizes_.count(v); });
  }

  static void refuse(Original& original, std::string why) {
    original.verdict.place = Place::Cpu;
    Diagnostic d = diag(DiagKind::UnsupportedArgument, std::move(why));
    d.op = original.verdict.target;
    d.node = original.verdict.name;
    d.source = original.source.str();
    original.verdict.reason = std::move(d);
  }

  std::vector<Original> originals_;
  std::unordered_set<ValueId> values_;  // that nodes of the file give
  std::unordered_set<ValueId> sizes_;   // numbers that any part can compute
  std::unordered_map<ValueId, NodeId> producers_;
};

}  // namespace

Result<Survey> survey(torch::Graph graph, const PartitionOptions& options) {
  Surveyor surveyor(graph);
  TRY(graph, prepare(std::move(graph)));
  TRY_DO(check_enumerated_shapes(graph, options));
  TRY(const Decision decision, decide(graph, options));
  Survey result;
  result.nodes = surveyor.judge(graph, decision, options.cpu_nodes);
  for (const auto& output : graph.outputs) {
    if (output.kind != torch::GraphOutput::Kind::BufferMutation) continue;
    for (const auto& input : graph.inputs)
      if (input.kind == torch::GraphInput::Kind::Buffer && input.target == output.target)
        result.buffers.push_back({input.target, why_not_state(graph, input, options)});
  }
  return result;
}

Result<PartitionedGraph> whole_delegate(torch::Graph graph, const PartitionOptions& given) {
  PartitionOptions options = given;
  options.lower_full_graph = true;
  TRY(graph, prepare(std::move(graph)));
  PartitionedGraph result;
  TRY(const Decision decision, decide(graph, options));
  TRY(Delegate delegate, lower_whole(graph, decision, options, nullptr));
  for (const auto& output : graph.outputs)
    if (output.kind != torch::GraphOutput::Kind::UserOutput)
      return diag(DiagKind::UnsupportedOp,
                  fmt::format("'{}' is written, but not by an operator of the delegate", output.target));
  delegate.name = "lowered_module_0";
  result.delegates.push_back(std::move(delegate));
  result.graph = std::move(graph);
  return result;
}

}  // namespace cortland::partition
