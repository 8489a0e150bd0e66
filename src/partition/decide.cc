#include "partition/decide.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <deque>
#include <optional>
#include <unordered_set>
#include <utility>

#include "partition/numbers.h"
#include "partition/wide_sums.h"
#include "torch_ops/decompose.h"
#include "torch_ops/lowering_state.h"

namespace cortland::partition {
namespace {

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

class Decider {
 public:
  Decider(torch::Graph& graph, const PartitionOptions& options, std::shared_ptr<torch_ops::Float16Range> range)
      : graph_(graph),
        options_(options),
        program_(options.target, graph.dims),
        block_(program_.add_block()),
        state_(program_, block_, {options.target, options.float_type}) {
    for (const std::string& name : options.float32_ops) float32_operators_.insert(lower_case(name));
    state_.float16_range = std::move(range);
    for (const torch::NodeId id : scales_of_integer_products(graph)) state_.float32_nodes.insert(id);
    add_inputs();
    look_ahead(graph, options, *state_.float16_range);
  }

  // Decides for the nodes in turn, and gives those that stand in their place.
  Result<std::vector<torch::NodeId>> decide_all(const std::vector<torch::NodeId>& nodes) {
    std::deque<torch::NodeId> pending(nodes.begin(), nodes.end());
    std::vector<torch::NodeId> order;
    while (!pending.empty()) {
      const torch::NodeId id = pending.front();
      pending.pop_front();
      const torch::Node& node = graph_.nodes[id];
      if (is_symbolic_node(graph_, node)) {
        order.push_back(id);
        continue;
      }
      if (use_known_number(node)) continue;
      if (is_read_by_parts(node)) {
        order.push_back(id);
        continue;
      }
      const torch_ops::TorchOp* op = torch_ops::find_op(node.target);
      if ((op && op->float32) || options_.float32_ops.count(node.name) || lists(float32_operators_, node)) state_.float32_nodes.insert(id);
      const bool skipped = skipped_parts_.count(id) || skipped_by_name(node);
      Status status = stay_ ? Status(*stay_) : skipped ? Status(skip_reason(node)) : border_ok(node);
      if (status.ok()) status = decide_regions(id);
      if (status.ok()) status = torch_ops::lower_node(state_, graph_, id);
      if (status.ok()) {
        if (!fold(id)) order.push_back(id);
        continue;
      }
      TRY_DO(torch_ops::check_signature(graph_, id));  // a program that lies has no CPU form either
      // Operators with an ExecuTorch kernel have a decomposition only for what the kernel cannot do.
      std::string why;
      TRY(auto parts, torch_ops::decompose_node(graph_, id, &why));
      add_inputs();
      if (!parts.empty()) {
        if (skipped) skipped_parts_.insert(parts.begin(), parts.end());
        if (state_.float32_nodes.count(id)) state_.float32_nodes.insert(parts.begin(), parts.end());
        pending.insert(pending.begin(), parts.begin(), parts.end());
        continue;
      }
      if (!why.empty()) decision_.kept_whole.emplace(id, why);
      decision_.refused.emplace(id, status.error());
      TRY_DO(keep_regions(id));
      for (torch::ValueId v : graph_.nodes[id].results)
        if (v) add_placeholder(v);
      order.push_back(id);
    }
    return order;
  }

  Result<Decision> run() {
    TRY(std::vector<torch::NodeId> order, decide_all(graph_.order));
    graph_.order = std::move(order);
    decision_.weight_bytes = weight_bytes();
    decision_.float16_range = state_.float16_range;
    if (options_.float_type == DType::F16) find_read_in_float16();
    decision_.float32_nodes = state_.float32_nodes;
    return std::move(decision_);
  }

 private:
  // Takes apart what Core ML does not have inside of the regions of a node. They are lowered as a whole or not at all: an error
  // is that of the first node that must stay outside.
  Status decide_regions(torch::NodeId id) {
    Status status;
    std::vector<torch::RegionId> regions;
    for_each_region(graph_.nodes[id], [&](torch::RegionId r) { regions.push_back(r); });
    if (regions.empty()) return status;
    bind_region_inputs(id);
    const bool outer = std::exchange(in_region_, true);
    const Decision before = decision_;
    for (const torch::RegionId r : regions) {
      TRY(graph_.regions[r].order, decide_all(graph_.regions[r].order));
      for (const torch::NodeId n : graph_.regions[r].order) {
        const auto refused = decision_.refused.find(n);
        if (refused == decision_.refused.end() || !status.ok()) continue;
        Diagnostic d = refused->second;
        d.what = fmt::format("its operator '{}' ({}) stays on the CPU, and so does all of it: {}", graph_.nodes[n].name, graph_.nodes[n].target, d.what);
        status = d;
      }
    }
    in_region_ = outer;
    if (!status.ok()) decision_ = before;
    return status;
  }

  // The nodes inside of one that stays on the CPU stay there too.
  Status keep_regions(torch::NodeId id) {
    Status status;
    const auto outer = stay_;
    bind_region_inputs(id);
    std::vector<torch::RegionId> regions;
    for_each_region(graph_.nodes[id], [&](torch::RegionId r) { regions.push_back(r); });
    if (!stay_) stay_ = diag(DiagKind::NotDelegated, fmt::format("is part of '{}', which stays on the CPU", graph_.nodes[id].name));
    for (const torch::RegionId r : regions) {
      TRY(graph_.regions[r].order, decide_all(graph_.regions[r].order));
    }
    stay_ = outer;
    return status;
  }

  // What a region is handed: values of the graph around it, whose constants stay constants, except what a loop changes.
  void bind_region_inputs(torch::NodeId id) {
    const torch::Node& node = graph_.nodes[id];
    const bool loop = node.target == "higher_order.while_loop";
    std::vector<torch::ValueId> operands;
    size_t carried = 0;
    for (const auto& a : node.args) {
      if (!a.arg.as<torch::Arg::List>()) continue;
      for_each_value(a.arg, [&](torch::ValueId v) { operands.push_back(v); });
      if (loop && carried == 0) carried = operands.size();
    }
    for_each_region(node, [&](torch::RegionId r) {
      const auto& inputs = graph_.regions[r].inputs;
      for (size_t i = 0; i < inputs.size(); ++i) {
        const auto it = i < operands.size() ? state_.operands.find(operands[i]) : state_.operands.end();
        if (i >= carried && it != state_.operands.end()) state_.operands[inputs[i]] = it->second;
        else add_placeholder(inputs[i]);
      }
    });
  }

  void add_placeholder(torch::ValueId v) {
    const torch::Value& value = graph_.values[v];
    if (value.kind != torch::Value::Kind::Tensor) return;
    const mil::ValueId placeholder = program_.add_value(value.name, border_type(value.type, options_.target));
    // Scalars arrive as [1]; here they may stand for themselves, since only types matter.
    program_.values[placeholder].type.tensor.shape = value.type.shape;
    if (value.type.dtype == DType::Bool) program_.values[placeholder].type.tensor.dtype = DType::Bool;
    state_.operands[v] = placeholder;
    state_.add_size_source(placeholder, value.type.shape);
    outside_.insert(v);
  }

  // Graph inputs not seen yet: decompositions and folding add constants.
  void add_inputs() {
    for (; inputs_seen_ < graph_.inputs.size(); ++inputs_seen_) {
      const auto& input = graph_.inputs[inputs_seen_];
      if (!input.value || state_.operands.count(input.value)) continue;
      if (is_constant_input(graph_, input, options_))
        state_.operands[input.value] = program_.constant(input.data);
      else
        add_placeholder(input.value);
    }
  }

  // Whether the operator is in the list, under either of its names.
  static bool lists(const std::set<std::string>& names, const torch::Node& node) {
    if (names.empty()) return false;
    return names.count(lower_case(node.target)) || names.count(lower_case(edge_name(node.target)));
  }

  bool skipped_by_name(const torch::Node& node) const {
    return options_.cpu_nodes.count(node.name) || options_.skip_ops.count("*") || lists(options_.skip_ops, node);
  }

  Diagnostic skip_reason(const torch::Node& node) const {
    Diagnostic d = diag(DiagKind::SkippedByUser, "is in the list of operators to skip");
    d.op = node.target;
    d.node = node.name;
    d.source = node.source.str();
    return d;
  }

  // What a delegate cannot be handed at all.
  Status border_ok(const torch::Node& node) const {
    Status status;
    auto look = [&](torch::ValueId v) {
      if (!v || !outside_.count(v)) return;
      const torch::Value& value = graph_.values[v];
      const bool empty = std::find(value.type.shape.begin(), value.type.shape.end(), Dim(0)) != value.type.shape.end();
      const bool deep = value.type.rank() > 5;
      if (value.type.dtype != DType::I8 && !empty && !deep) return;
      Diagnostic d = empty ? diag(DiagKind::UnsupportedShape, fmt::format("input '{}' has no elements, which Core ML cannot be passed", value.name),
                                  "leave it out")
                   : deep ? diag(DiagKind::UnsupportedRank, fmt::format("input '{}' has rank {}, Core ML allows 5", value.name, value.type.rank()))
                          : diag(DiagKind::UnsupportedDtype, fmt::format("input '{}' is int8, which Core ML cannot be passed", value.name),
                                 "pass int32 or float tensors");
      d.op = node.target;
      d.node = node.name;
      d.source = node.source.str();
      status = d;
    };
    for (const auto& a : node.args) for_each_value(a.arg, look);
    return status;
  }

  uint64_t weight_bytes() const {
    std::set<mil::ConstId> seen;
    uint64_t bytes = 0;
    for (mil::OpId op : program_.blocks[block_].ops)
      for (const mil::Binding& binding : program_.ops[op].operands)
        if (binding.operand.is_const() && seen.insert(binding.operand.constant()).second)
          if (const Weight& data = program_.consts[binding.operand.constant()].data) bytes += data.byte_size();
    return bytes;
  }

  // What `item` reads from a constant is known. A size keeps its symbol and has one value, as torch.arange(n).max() + 1; other numbers
  // are put where they are used, as in torch.full(shape, strides[0]): then the node can go.
  bool use_known_number(const torch::Node& node) {
    if (!is_item(node)) return false;
    const auto* x = node.args.empty() ? nullptr : node.args[0].arg.as<torch::ValueId>();
    const auto known = x ? state_.operands.find(*x) : state_.operands.end();
    if (known == state_.operands.end() || !known->second.is_const() || node.results.empty() || !node.results[0]) return false;
    const torch::ValueId number = node.results[0];
    const Weight& data = program_.consts[known->second.constant()].data;
    if (!data || data.elements() != 1) return false;
    if (graph_.values[number].kind == torch::Value::Kind::SymFloat) return put_instead(number, double{data.to_floats()[0]});
    const torch::Value& size = graph_.values[number];
    if (size.kind != torch::Value::Kind::SymInt || !graph_.dims->is_symbol(size.sym)) return false;
    const int64_t value = data.to_ints()[0];
    graph_.dims->symbol(graph_.dims->str(size.sym), {value, value});
    return false;
  }

  // Whether a number that the data gives can be read by whoever needs it. Regions take it from outside, but read none themselves.
  bool is_read_by_parts(const torch::Node& node) {
    if (stay_ || in_region_ || skipped_by_name(node)) return false;
    const auto number = number_read(graph_, node);
    if (!number || !state_.operands.count(number->second)) return false;
    state_.add_number_source(number->first, number->second);
    return true;
  }

  // Whether nothing needs `v` any more.
  bool put_instead(torch::ValueId v, const torch::Arg& literal) {
    const auto replace = [&](auto&& self, torch::Arg& arg) -> void {
      if (const auto* used = arg.as<torch::ValueId>(); used && *used == v) arg = literal;
      if (auto* list = arg.as<torch::Arg::List>())
        for (torch::Arg& part : *list) self(self, part);
    };
    for (torch::Node& node : graph_.nodes)
      for (torch::NamedArg& given : node.args) replace(replace, given.arg);
    bool left = false;
    for (const torch::GraphOutput& output : graph_.outputs)
      for_each_value(output.value, [&](torch::ValueId used) { left = left || used == v; });
    return !left;
  }

  // Turns a node whose results are constants into constant inputs of the graph.
  bool fold(torch::NodeId id) {
    const torch::Node& node = graph_.nodes[id];
    bool any = false;
    for (torch::ValueId v : node.results) {
      if (!v) continue;
      const auto it = state_.operands.find(v);
      if (it == state_.operands.end() || !it->second.is_const()) {
        if (it != state_.operands.end() || state_.is_used(graph_, v)) return false;
        continue;
      }
      any = true;
    }
    if (!any) return false;
    for (torch::ValueId v : node.results) {
      const auto it = state_.operands.find(v);
      if (!v || it == state_.operands.end()) continue;
      torch::Value& value = graph_.values[v];
      torch::GraphInput input;
      input.kind = torch::GraphInput::Kind::TensorConstant;
      input.value = v;
      input.name = value.name;
      input.target = "_folded_" + value.name;
      input.data = program_.consts[it->second.constant()].data.cast(value.type.dtype);
      value.producer = {};
      graph_.inputs.push_back(std::move(input));
    }
    return true;
  }

  // Backwards through the program: float32 values and conditions from which a float16 value is computed, but not through what
  // computes in float32 for a reason.
  void find_read_in_float16() {
    std::unordered_set<mil::ValueId> found;
    const auto& ops = program_.blocks[block_].ops;
    for (auto id = ops.rbegin(); id != ops.rend(); ++id) {
      const mil::Op& op = program_.ops[*id];
      bool half = false;
      for (mil::ValueId v : op.results) half = half || program_.type(v).dtype() == DType::F16 || found.count(v);
      if (!half || state_.float32_nodes.count(torch::NodeId{op.origin})) continue;
      for (const mil::Binding& b : op.operands)
        if (const DType t = program_.type(b.operand).dtype(); b.operand.is_value() && (t == DType::F32 || t == DType::Bool)) found.insert(b.operand.value());
    }
    for (const auto& [v, operand] : state_.operands) {
      if (!v || !operand.is_value()) continue;
      if (graph_.values[v].kind != torch::Value::Kind::Tensor || !is_float(graph_.type(v).dtype)) continue;
      if (program_.type(operand).dtype() == DType::F16 || found.count(operand.value())) decision_.read_in_float16.insert(v);
    }
  }

  torch::Graph& graph_;
  const PartitionOptions& options_;
  mil::Program program_;
  mil::BlockId block_;
  torch_ops::LoweringState state_;
  std::set<std::string> float32_operators_;
  std::set<torch::ValueId> outside_;
  std::unordered_set<torch::NodeId> skipped_parts_;  // what skipped nodes were taken apart into
  std::optional<Diagnostic> stay_;  // set while nodes are visited that stay on the CPU whatever they are
  bool in_region_ = false;
  size_t inputs_seen_ = 0;
  Decision decision_;
};

}  // namespace

mil::Type border_type(const TensorType& type, mil::Target target) {
  TensorType t = type;
  if (is_integer(t.dtype))
    t.dtype = DType::I32;
  else if (t.dtype != DType::F16 || target < mil::Target::iOS16)
    t.dtype = DType::F32;
  if (t.shape.empty()) t.shape = {1};
  return t;
}

bool is_constant_input(const torch::Graph& graph, const torch::GraphInput& input, const PartitionOptions& options) {
  using Kind = torch::GraphInput::Kind;
  if (!input.data || !input.value) return false;
  // Tensor constants are literals of the code (and folded nodes), not data that a user may want to keep outside.
  if (input.kind == Kind::TensorConstant) return true;
  if ((input.kind != Kind::Parameter && input.kind != Kind::Buffer) || !options.take_over_constant_data) return false;
  for (const auto& output : graph.outputs)
    if ((output.kind == torch::GraphOutput::Kind::BufferMutation || output.kind == torch::GraphOutput::Kind::ParameterMutation) &&
        output.target == input.target)
      return false;
  return true;
}

void look_ahead(const torch::Graph& graph, const PartitionOptions& options, torch_ops::Float16Range& range) {
  if (options.float_type != DType::F16) return;
  std::vector<Weight> weights;
  for (const auto& input : graph.inputs)
    if (is_constant_input(graph, input, options)) weights.push_back(input.data);
  range.look_ahead(weights);
}

Result<Decision> decide(torch::Graph& graph, const PartitionOptions& options, std::shared_ptr<torch_ops::Float16Range> range) {
  return Decider(graph, options, std::move(range)).run();
}

}  // namespace cortland::partition
