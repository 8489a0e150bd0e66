#include "partition/build.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_set>

#include "mil/names.h"
#include "mil_ops/ops.h"
#include "mil_passes/pipeline.h"
#include "partition/decide.h"
#include "torch_ops/lowering_state.h"

namespace cortland::partition {
namespace {

class Builder {
 public:
  Builder(const torch::Graph& graph, const Part& part, const PartitionOptions& options)
      : graph_(graph),
        part_(part),
        options_(options),
        program_(options.target, graph.dims),
        body_(program_.add_block()),
        state_(program_, body_, {options.target, options.float_type}) {
    state_.float32_nodes = part.float32_nodes;
    if (part.float16_range) state_.float16_range = part.float16_range;
    for (const auto& [symbol, tensor] : part.numbers) state_.add_number_source(symbol, tensor);
    function_.body = body_;
    for (const auto& input : graph.inputs)
      if (input.value && is_constant_input(graph, input, options)) constants_.emplace(input.value, &input);
  }

  Result<Delegate> run(const std::vector<torch::ValueId>& required) {
    for_each_node(graph_, part_.nodes, [&](torch::NodeId n) {
      for (torch::ValueId v : graph_.nodes[n].results) inside_.insert(v);
      for_each_region(graph_.nodes[n], [&](torch::RegionId r) {
        for (torch::ValueId v : graph_.regions[r].inputs) inside_.insert(v);
      });
    });
    for (const OwnedBuffer& buffer : part_.states) TRY_DO(add_state(buffer));
    for (torch::ValueId v : required) TRY_DO(add_input(v));
    Status status;
    for_each_node(graph_, part_.nodes, [&](torch::NodeId n) {
      for (const auto& a : graph_.nodes[n].args)
        if (status.ok()) status = add_inputs_of(a.arg);
      for_each_region(graph_.nodes[n], [&](torch::RegionId r) {
        for (torch::ValueId v : graph_.regions[r].outputs)
          if (status.ok()) status = add_inputs_of(v);
      });
    });
    TRY_DO(std::move(status));
    for (torch::ValueId v : part_.outputs)
      if (!inside_.count(v)) TRY_DO(add_input(v));
    TRY_DO(add_size_sources());
    if (delegate_.inputs.empty() && options_.target < mil::Target::iOS18) TRY_DO(add_any_input());
    for (torch::NodeId n : part_.nodes) TRY_DO(torch_ops::lower_node(state_, graph_, n));
    for (size_t i = 0; i < part_.states.size(); ++i) TRY_DO(write_state(i));
    for (size_t i = 0; i < part_.outputs.size(); ++i) TRY_DO(add_output(i));
    program_.functions.push_back(std::move(function_));
    TRY_DO(run_passes());
    TRY_DO(mil::verify(program_));
    delegate_.nodes = part_.nodes;
    delegate_.program = std::move(program_);
    return std::move(delegate_);
  }

 private:
  Status run_passes() {
    mil_passes::PipelineOptions passes;
    if (options_.pass_names) passes.names = *options_.pass_names;
    passes.after = options_.after_pass;
    for (const torch::NodeId n : state_.float32_nodes) passes.float32_origins.insert(n.index);
    return mil_passes::run_pipeline(program_, passes);
  }

  Status add_inputs_of(const torch::Arg& arg) {
    Status status;
    for_each_value(arg, [&](torch::ValueId v) {
      if (status.ok() && v && !inside_.count(v)) status = add_input(v);
    });
    return status;
  }

  Status add_input(torch::ValueId v) {
    if (state_.operands.count(v)) return {};
    const torch::Value& value = graph_.values[v];
    if (value.kind != torch::Value::Kind::Tensor) return {};
    if (const auto it = constants_.find(v); it != constants_.end()) {
      state_.operands[v] = program_.constant(it->second->data);
      return {};
    }
    const mil::ValueId input = program_.add_value(unique_name(value.name), border_type(value.type, options_.target));
    function_.inputs.push_back(input);
    delegate_.inputs.push_back(v);
    delegate_.input_names.push_back(program_.values[input].name);
    if (const auto it = options_.enumerated_shapes.find(value.name); it != options_.enumerated_shapes.end())
      function_.enumerated_shapes[program_.values[input].name] = it->second;
    state_.add_size_source(input, value.type.shape);
    torch_ops::Operand operand(input);
    if (value.type.rank() == 0) {
      TRY(operand, emit("squeeze", {{"x", operand}, {"axes", program_.constant(std::vector<int32_t>{0})}}));
    }
    if (value.type.dtype == DType::Bool) {
      TRY(operand, state_.cast(operand, DType::Bool, -1));
    }
    if (part_.read_in_float16.count(v)) {
      TRY(operand, state_.cast(operand, DType::F16, -1));
    }
    state_.operands[v] = operand;
    return {};
  }

  // States are float16; they are read once, before anything else, and written once, at the end.
  Status add_state(const OwnedBuffer& buffer) {
    const torch::Value& value = graph_.values[buffer.before];
    TensorType type = value.type;
    type.dtype = DType::F16;
    const mil::ValueId state = program_.add_value(unique_name(value.name), mil::Type::state(type));
    function_.inputs.push_back(state);
    states_.push_back(state);
    TRY(state_.operands[buffer.before], emit("read_state", {{"input", state}}));
    return {};
  }

  Status write_state(size_t i) {
    TRY(torch_ops::Operand value, state_.cast(state_.operands.at(part_.states[i].after), DType::F16, -1));
    const mil::MilOp* write = mil_ops::find("write_state", options_.target);
    CHECK(write);
    TRY_DO(program_.add_op(body_, *write, {{"input", states_[i]}, {"data", value}}));
    return {};
  }

  // Every symbol the part mentions must be a size of some input, or a number in one; a tensor that has it is passed in for that alone.
  Status add_size_sources() {
    std::set<std::string> known, wanted;
    for (torch::ValueId v : delegate_.inputs) collect_sources(graph_.type(v).shape, known);
    for (const torch::NodeId n : part_.nodes) wanted.merge(symbols_of(graph_, n));
    for (const std::string& symbol : wanted) {
      if (known.count(symbol)) continue;
      const auto number = part_.numbers.find(symbol);
      if (number == part_.numbers.end()) TRY_DO(add_source_of(symbol, known));
      else if (!inside_.count(number->second)) TRY_DO(add_input(number->second));
    }
    return {};
  }

  Status add_source_of(const std::string& symbol, std::set<std::string>& known) {
    // Inputs of the graph first: they depend on nobody.
    for (const bool computed : {false, true}) {
      for (int32_t i = 0; i < graph_.values.size(); ++i) {
        const torch::ValueId v{i};
        const torch::Value& value = graph_.values[v];
        if (value.kind != torch::Value::Kind::Tensor || value.producer.valid() != computed || inside_.count(v) || constants_.count(v)) continue;
        // Nodes that were taken apart leave values behind.
        if (computed && std::find(graph_.order.begin(), graph_.order.end(), value.producer) == graph_.order.end()) continue;
        if (computed && waits_for_part().count(value.producer)) continue;
        std::set<std::string> own;
        collect_sources(value.type.shape, own);
        if (!own.count(symbol)) continue;
        TRY_DO(add_input(v));
        known.insert(own.begin(), own.end());
        return {};
      }
    }
    return {};  // nobody has it: the lowering that needs it says so
  }

  // Nodes that read, directly or not, what the part computes.
  const std::unordered_set<torch::NodeId>& waits_for_part() {
    if (!waiting_.empty()) return waiting_;
    waiting_.insert(part_.nodes.begin(), part_.nodes.end());
    for (const torch::NodeId n : graph_.order)
      for (const auto& a : graph_.nodes[n].args)
        for_each_value(a.arg, [&](torch::ValueId v) {
          if (v && waiting_.count(graph_.values[v].producer)) waiting_.insert(n);
        });
    return waiting_;
  }

  // Symbols that can be computed from one of the sizes: coefficient * symbol + offset.
  void collect_sources(const Shape& shape, std::set<std::string>& symbols) const {
    for (Dim d : shape) {
      if (d.is_constant()) continue;
      std::string symbol;
      bool linear = true;
      for (const auto& term : graph_.dims->terms(d)) {
        if (term.atoms.empty()) continue;
        const auto& atom = graph_.dims->atom(term.atoms[0]);
        linear = linear && symbol.empty() && term.atoms.size() == 1 && atom.kind == DimTable::AtomKind::Symbol;
        symbol = atom.name;
      }
      if (linear && !symbol.empty()) symbols.insert(symbol);
    }
  }

  // Core ML before iOS18 refuses a model without inputs.
  Status add_any_input() {
    for (const auto& input : graph_.inputs)
      if (input.kind == torch::GraphInput::Kind::UserInput && input.value && graph_.values[input.value].kind == torch::Value::Kind::Tensor)
        return add_input(input.value);
    return {};
  }

  Status add_output(size_t i) {
    const torch::ValueId v = part_.outputs[i];
    const torch::Value& value = graph_.values[v];
    const auto it = state_.operands.find(v);
    CHECK(it != state_.operands.end() && it->second, value.name);
    torch_ops::Operand operand = it->second;
    const DType have = program_.type(operand).dtype();
    DType want = DType::F32;
    if (is_integer(have)) want = DType::I32;
    else if (is_float(have) && options_.target >= mil::Target::iOS16) {
      // A constant computed at lowering time is float32 whatever the model computes in.
      want = operand.is_const() ? options_.float_type : have;
      if (value.type.dtype == DType::F16) want = DType::F16;
    }
    TRY(operand, state_.cast(operand, want, -1));
    const bool taken = std::any_of(function_.outputs.begin(), function_.outputs.end(), [&](const mil::Output& o) { return o.operand == operand; });
    const mil::OpId producer = operand.is_value() ? program_.values[operand.value()].producer : mil::OpId{};
    const bool is_input = operand.is_value() && !producer;
    const bool compressed = producer && program_.ops[producer].def->constexpr_op;
    if (operand.is_const() || is_input || taken || compressed) {
      TRY(operand, emit("identity", {{"x", operand}}));
    }
    const std::string name = unique_name(i < part_.output_names.size() ? part_.output_names[i] : value.name);
    function_.outputs.push_back({name, operand});
    delegate_.outputs.push_back(v);
    delegate_.output_names.push_back(name);
    return {};
  }

  Result<torch_ops::Operand> emit(std::string_view op, std::vector<mil::NamedOperand> inputs) {
    const mil::MilOp* def = mil_ops::find(op, options_.target);
    CHECK(def, std::string(op));
    TRY(auto id, program_.add_op(body_, *def, std::move(inputs)));
    return torch_ops::Operand(program_.ops[id].results[0]);
  }

  std::string unique_name(const std::string& wanted) {
    std::string name = mil::sanitize(wanted);
    for (int n = 1; !names_.insert(name).second; ++n) name = fmt::format("{}_{}", mil::sanitize(wanted), n);
    return name;
  }

  const torch::Graph& graph_;
  const Part& part_;
  const PartitionOptions& options_;
  mil::Program program_;
  mil::BlockId body_;
  torch_ops::LoweringState state_;
  mil::Function function_;
  Delegate delegate_;
  std::vector<mil::ValueId> states_;  // of part_.states
  std::unordered_set<torch::ValueId> inside_;
  std::unordered_set<torch::NodeId> waiting_;
  std::unordered_map<torch::ValueId, const torch::GraphInput*> constants_;
  std::set<std::string> names_;
};

}  // namespace

Result<Delegate> build_delegate(const torch::Graph& graph, const Part& part, const std::vector<torch::ValueId>& required,
                                const PartitionOptions& options) {
  return Builder(graph, part, options).run(required);
}

}  // namespace cortland::partition
