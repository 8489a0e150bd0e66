#include "edge/plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "edge/control_flow.h"
#include "edge/input_layout.h"
#include "edge/kernel_call.h"

namespace cortland::edge {
namespace {

using torch::GraphInput;
using torch::GraphOutput;
using torch::NodeId;
using torch::ValueId;

bool is_mutation(const GraphOutput& output) {
  using Kind = GraphOutput::Kind;
  return output.kind == Kind::BufferMutation || output.kind == Kind::ParameterMutation || output.kind == Kind::UserInputMutation;
}

// The input whose content `output` replaces.
const GraphInput* written_input(const torch::Graph& graph, const GraphOutput& output) {
  const bool user = output.kind == GraphOutput::Kind::UserInputMutation;
  for (const GraphInput& input : graph.inputs) {
    if (!input.value || user != (input.kind == GraphInput::Kind::UserInput)) continue;
    if (output.target == (user ? graph.values[input.value].name : input.target)) return &input;
  }
  return nullptr;
}

class MethodPlanner {
 public:
  MethodPlanner(executorch::PteProgram& program, const partition::PartitionedGraph& g, std::vector<DelegateBlob> blobs,
                const std::string& method)
      : program_(program), g_(g), graph_(g.graph), blobs_(std::move(blobs)), plan_(g.graph, program, method), sizes_(plan_) {}

  Status run(std::vector<Diagnostic>* warnings) {
    TRY_DO(find_write_backs());
    for (const GraphOutput& output : graph_.outputs)
      if (output.kind == GraphOutput::Kind::UserOutput) for_each_value(output.value, [&](ValueId v) { plan_.keep_apart(v); });
    limit_data_dependent_sizes();
    for (const GraphInput& input : graph_.inputs) TRY_DO(add_input(input));
    for (const ChannelsLast& input : channels_last_) TRY_DO(bind_channels_last(input));
    for (const auto& step : g_.steps) {
      if (const auto* d = std::get_if<size_t>(&step.what)) TRY_DO(call_delegate(*d));
      else TRY_DO(run_node(std::get<NodeId>(step.what)));
    }
    if (!missing_.empty()) return missing_kernels();
    TRY_DO(write_back());
    for (const GraphOutput& output : graph_.outputs)
      if (output.kind == GraphOutput::Kind::UserOutput) TRY_DO(add_output(output.value));
    plan_.finish();
    if (warnings) warn(*warnings);
    return {};
  }

 private:
  struct WriteBack {
    ValueId destination, source;
  };
  struct ChannelsLast {
    ValueId value;
    ValueIndex given;  // as the caller lays it out
  };

  // ---- inputs

  Status find_write_backs() {
    for (const GraphOutput& output : graph_.outputs) {
      if (!is_mutation(output)) continue;
      const GraphInput* input = written_input(graph_, output);
      const auto* source = output.value.as<ValueId>();
      if (!input || !source || !*source)
        return diag(DiagKind::BadProgram, fmt::format("the program writes to '{}', which it does not have", output.target));
      if (*source != input->value) write_backs_.push_back({input->value, *source});
    }
    return {};
  }

  bool is_written(ValueId v) const {
    return std::any_of(write_backs_.begin(), write_backs_.end(), [&](const WriteBack& w) { return w.destination == v; });
  }

  // Sizes that depend on data, which torch knows no bound for: there is no more to find than was looked through.
  void limit_data_dependent_sizes() {
    for (const NodeId n : graph_.order) {
      const torch::Node& node = graph_.nodes[n];
      if (node.target != "aten.nonzero.default" && node.target != "aten.masked_select.default") continue;
      const auto* from = node.args.empty() ? nullptr : node.args[0].arg.as<ValueId>();
      const ValueId result = node.results.empty() ? ValueId{} : node.results[0];
      if (!from || !*from || !result || graph_.type(result).shape.empty()) continue;
      const Dim size = graph_.type(result).shape[0];
      int64_t elements = 1;
      bool bounded = graph_.dims->is_symbol(size);
      for (const Dim d : graph_.type(*from).shape) {
        const auto bound = plan_.upper_bound(d);
        bounded = bounded && bound.ok() && !__builtin_mul_overflow(elements, *bound, &elements);
      }
      if (bounded) plan_.limit_symbol(graph_.dims->symbols(size)[0], elements);
    }
  }

  Status add_input(const GraphInput& input) {
    using Kind = GraphInput::Kind;
    if (input.kind == Kind::ConstantInput) {
      // The runtime compares what it is given with this value, so the slot must be this input's own.
      TRY(auto value, literal(input.constant));
      plan_.add_input(plan_.add(std::move(value)));
      return {};
    }
    if (!input.value) return {};
    const torch::Value& value = graph_.values[input.value];
    if (input.kind != Kind::UserInput) {
      plan_.store(input.value, {is_written(input.value) ? Storage::Kind::Buffer : Storage::Kind::Constant, input.data});
      return {};
    }
    if (value.kind != torch::Value::Kind::Tensor) return add_number_input(input.value);
    if (auto order = channels_last_order(graph_, input.value); !order.empty()) return add_channels_last(input.value, std::move(order));
    if (is_written(input.value)) plan_.store(input.value, {Storage::Kind::CallersOwn, {}});
    TRY(const ValueIndex index, plan_.tensor(input.value));
    plan_.add_input(index);
    sizes_.add_tensor(input.value);
    return {};
  }

  // The program says how the tensor lies in the caller's memory: the runtime copies it as it is.
  Status add_channels_last(ValueId v, std::vector<uint8_t> order) {
    const torch::Value& value = graph_.values[v];
    if (is_written(v))
      return diag(DiagKind::UnsupportedArgument, fmt::format("input '{}' has its channels last, and the program writes to it", value.name),
                  "export with a contiguous example input: x.contiguous()");
    TRY(const ValueIndex index, plan_.scratch(value.type, value.name, std::move(order)));
    plan_.add_input(index);
    channels_last_.push_back({v, index});
    sizes_.add_tensor(v);
    return {};
  }

  // Delegates read tensors by their strides. Kernels want all of theirs in one order, so they get a row-major copy.
  Status bind_channels_last(const ChannelsLast& input) {
    ValueIndex index = input.given;
    if (is_read_by_kernels(g_, input.value)) {
      const TensorType& type = graph_.type(input.value);
      TRY(index, copy_tensor(plan_, input.given, type, type.dtype, graph_.values[input.value].name));
    }
    plan_.bind(input.value, index);
    return {};
  }

  // A symbolic number as input: the runtime takes the number of the traced example and no other.
  Status add_number_input(ValueId v) {
    const torch::Value& value = graph_.values[v];
    const auto number = value.has_sym ? graph_.dims->eval(value.sym, graph_.hints) : Result<int64_t>(diag(DiagKind::BadProgram, ""));
    if (!number.ok())
      return diag(DiagKind::UnsupportedArgument, fmt::format("input '{}' is a number, and the program does not say which one it was traced with", value.name),
                  "pass it as a tensor");
    const ValueIndex slot = plan_.add(executorch::Int{*number});
    plan_.add_input(slot);
    sizes_.define(v, slot);
    return {};
  }

  Result<executorch::EValue> literal(const torch::Arg& arg) const {
    if (arg.is_none()) return executorch::EValue(executorch::Null{});
    if (const auto* i = arg.as<int64_t>()) return executorch::EValue(executorch::Int{*i});
    if (const auto* f = arg.as<double>()) return executorch::EValue(executorch::Double{*f});
    if (const auto* b = arg.as<bool>()) return executorch::EValue(executorch::Bool{*b});
    if (const auto* s = arg.as<std::string>()) return executorch::EValue(executorch::String{*s});
    return diag(DiagKind::UnsupportedArgument, "an input or output has no form in a .pte program", "pass tensors, numbers, strings or None");
  }

  // ---- steps

  Status call_delegate(size_t d) {
    const partition::Delegate& delegate = g_.delegates[d];
    std::vector<ValueIndex> args;
    for (const auto* list : {&delegate.inputs, &delegate.outputs}) {
      for (const ValueId v : *list) {
        TRY(args.emplace_back(), plan_.tensor(v));
      }
    }
    DelegateBlob& blob = blobs_.at(d);
    const int32_t index = plan_.add_delegate({std::string(executorch::kCoreMLBackendId), static_cast<int32_t>(program_.blobs.size()), blob.specs});
    program_.blobs.push_back(std::move(blob.data));
    plan_.emit(executorch::DelegateCall{index, std::move(args)});
    for (const ValueId v : delegate.outputs) sizes_.add_tensor(v);
    return {};
  }

  // Nodes without a kernel are remembered: the user wants to know all of them.
  Status run_node(NodeId id) {
    const torch::Node& node = graph_.nodes[id];
    const bool nested = is_control_flow(node);
    Status status = partition::is_symbolic_node(graph_, node) ? sizes_.add_node(id)
                    : nested ? run_control_flow(plan_, sizes_, id, [this](NodeId inner) { return run_node(inner); })
                             : call_kernel(plan_, sizes_, id);
    if (status.ok()) return {};
    if (status.error().kind == DiagKind::NoCpuKernel) {
      missing_.emplace_back(id, status.error());
      // Whoever reads its results should not be reported as well.
      for (const ValueId v : node.results) {
        if (!v) continue;
        if (graph_.values[v].kind != torch::Value::Kind::Tensor) sizes_.define(v, plan_.integer(0));
        sizes_.add_tensor(v);
      }
      return {};
    }
    // Sizes of a tensor that no kernel makes are no news either.
    if (!missing_.empty() && status.error().kind == DiagKind::UnsupportedShape) return {};
    Diagnostic d = status.error();
    if (!d.node.empty()) return d;
    d.op = node.target;
    d.node = node.name;
    d.source = node.source.str();
    return d;
  }

  Diagnostic missing_kernels() const {
    std::string what = missing_.size() == 1 ? "an operator runs neither on Core ML nor on the CPU:"
                                            : fmt::format("{} operators run neither on Core ML nor on the CPU:", missing_.size());
    std::set<std::string> remedies;
    for (const auto& [id, error] : missing_) {
      const torch::Node& node = graph_.nodes[id];
      const std::string source = node.source.str();
      what += fmt::format("\n  {} ({}){}{}\n    CPU: {}", node.name, node.target, source.empty() ? "" : " at ", source, error.what);
      const auto refused = std::find_if(g_.cpu_ops.begin(), g_.cpu_ops.end(), [&id = id](const auto& op) { return op.node == id; });
      if (refused == g_.cpu_ops.end()) continue;
      if (!refused->kept_whole.empty()) what += fmt::format(", and it cannot be taken apart: {}", refused->kept_whole);
      what += fmt::format("\n    Core ML: {}", refused->reason.what);
      if (!refused->reason.help.empty()) remedies.insert(refused->reason.help);
    }
    return diag(DiagKind::NoCpuKernel, std::move(what), fmt::format("{}", fmt::join(remedies, "; or ")));
  }

  // ---- outputs

  // Copies new contents into buffers and written inputs. What is still needed of the old contents is saved first.
  Status write_back() {
    for (const WriteBack& w : write_backs_)
      if (is_written(w.source)) TRY_DO(save(w.source));
    for (const GraphOutput& output : graph_.outputs) {
      const auto* v = output.value.as<ValueId>();
      if (output.kind == GraphOutput::Kind::UserOutput && v && *v && is_written(*v)) TRY_DO(save(*v));
    }
    for (const WriteBack& w : write_backs_) {
      TRY(const ValueIndex destination, plan_.tensor(w.destination));
      TRY(const ValueIndex source, current(w.source));
      plan_.call("aten::copy_", "", {destination, source, plan_.boolean(false), destination});
    }
    return {};
  }

  Status save(ValueId v) {
    if (saved_.count(v)) return {};
    TRY(const ValueIndex from, plan_.tensor(v));
    const TensorType& type = graph_.type(v);
    TRY(saved_[v], copy_tensor(plan_, from, type, type.dtype, graph_.values[v].name));
    return {};
  }

  Result<ValueIndex> current(ValueId v) {
    if (const auto it = saved_.find(v); it != saved_.end()) return it->second;
    return plan_.tensor(v);
  }

  Status add_output(const torch::Arg& arg) {
    const auto* v = arg.as<ValueId>();
    if (!v) {
      TRY(auto value, literal(arg));
      plan_.add_output(plan_.add(std::move(value)));
      return {};
    }
    if (!*v) return diag(DiagKind::BadProgram, "an output has no value");
    if (graph_.values[*v].kind != torch::Value::Kind::Tensor) {
      TRY(const ValueIndex number, sizes_.number(*v));
      plan_.add_output(number);
      return {};
    }
    TRY(const ValueIndex index, current(*v));
    plan_.add_output(index);
    return {};
  }

  void warn(std::vector<Diagnostic>& warnings) const {
    if (plan_.held_symbols().empty()) return;
    std::vector<std::string> sizes;
    for (const std::string& symbol : plan_.held_symbols()) sizes.push_back(fmt::format("{} <= {}", symbol, graph_.hints.at(symbol)));
    warnings.push_back(diag(DiagKind::UnsupportedShape,
                            fmt::format("sizes without an upper bound are held to those of the example that was traced: {}", fmt::join(sizes, ", ")),
                            "export with torch.export.Dim(..., max=...) to allow larger ones"));
  }

  executorch::PteProgram& program_;
  const partition::PartitionedGraph& g_;
  const torch::Graph& graph_;
  std::vector<DelegateBlob> blobs_;
  PlanBuilder plan_;
  Sizes sizes_;
  std::vector<WriteBack> write_backs_;
  std::vector<ChannelsLast> channels_last_;
  std::unordered_map<ValueId, ValueIndex> saved_;  // written inputs: their contents before
  std::vector<std::pair<NodeId, Diagnostic>> missing_;
};

}  // namespace

Status add_method(executorch::PteProgram& program, const partition::PartitionedGraph& g, std::vector<DelegateBlob> blobs,
                  const std::string& method, std::vector<Diagnostic>* warnings) {
  TRY_DO(MethodPlanner(program, g, std::move(blobs), method).run(warnings));
  return executorch::validate(program);
}

Result<executorch::PteProgram> plan_method(const partition::PartitionedGraph& g, std::vector<DelegateBlob> blobs, const std::string& method,
                                           std::vector<Diagnostic>* warnings) {
  executorch::PteProgram program;
  TRY_DO(add_method(program, g, std::move(blobs), method, warnings));
  return program;
}

}  // namespace cortland::edge
