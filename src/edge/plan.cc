#include "edge/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "executorch/memory_plan.h"

namespace cortland::edge {
namespace {

using executorch::ValueIndex;
using torch::GraphInput;
using torch::GraphOutput;
using torch::ValueId;

class Planner {
 public:
  Planner(const partition::PartitionedGraph& g, std::vector<DelegateBlob> blobs, const std::string& method)
      : g_(g), graph_(g.graph), blobs_(std::move(blobs)) {
    plan_.name = method;
    plan_.encoded_inputs = graph_.in_spec;
    plan_.encoded_outputs = graph_.out_spec;
  }

  Result<executorch::PteProgram> run() {
    for (const GraphInput& input : graph_.inputs) TRY_DO(add_input(input));
    for (const auto& step : g_.steps) {
      ++now_;
      if (const auto* d = std::get_if<size_t>(&step.what)) {
        TRY_DO(call_delegate(*d));
      } else {
        TRY_DO(call_kernel(std::get<torch::NodeId>(step.what)));
      }
    }
    ++now_;
    for (const GraphOutput& output : graph_.outputs) TRY_DO(add_output(output));
    place_tensors();
    program_.plans.push_back(std::move(plan_));
    TRY_DO(executorch::validate(program_));
    return std::move(program_);
  }

 private:
  Status add_input(const GraphInput& input) {
    if (input.kind == GraphInput::Kind::ConstantInput) {
      TRY(const ValueIndex v, add_scalar(input.constant));
      plan_.inputs.push_back(v);
      return {};
    }
    if (input.kind != GraphInput::Kind::UserInput) {
      stored_.emplace(input.value, &input);
      return {};
    }
    TRY(const ValueIndex v, value_of(input.value));
    plan_.inputs.push_back(v);
    return {};
  }

  Result<ValueIndex> add_scalar(const torch::Arg& arg) {
    executorch::EValue value = executorch::Null{};
    if (const auto* i = arg.as<int64_t>()) value = executorch::Int{*i};
    else if (const auto* f = arg.as<double>()) value = executorch::Double{*f};
    else if (const auto* b = arg.as<bool>()) value = executorch::Bool{*b};
    else if (const auto* s = arg.as<std::string>()) value = executorch::String{*s};
    else if (!arg.is_none()) return diag(DiagKind::UnsupportedArgument, "an argument has no form in a .pte program");
    return add(std::move(value));
  }

  ValueIndex add(executorch::EValue value) {
    plan_.values.push_back(std::move(value));
    return static_cast<ValueIndex>(plan_.values.size()) - 1;
  }

  // The slot of a torch value, made at its first mention.
  Result<ValueIndex> value_of(ValueId v) {
    if (const auto it = index_.find(v); it != index_.end()) {
      touch(it->second);
      return it->second;
    }
    const torch::Value& value = graph_.values[v];
    if (value.kind != torch::Value::Kind::Tensor)
      return diag(DiagKind::UnsupportedArgument, fmt::format("'{}' is not a tensor", value.name));
    TRY(executorch::TensorValue tensor, tensor_value(value));
    const auto stored = stored_.find(v);
    const bool mutated = stored != stored_.end() && is_mutated(*stored->second);
    if (stored != stored_.end() && !stored->second->data)
      return diag(DiagKind::WeightsMissing, fmt::format("'{}' has no stored value", stored->second->target));
    if (stored != stored_.end()) {
      (mutated ? tensor.initial : tensor.constant) = add_data(stored->second->data, mutated);
    }
    const ValueIndex index = add(std::move(tensor));
    index_[v] = index;
    if (stored == stored_.end() || mutated) {
      lifetimes_[index] = {now_, now_};
      // A buffer keeps its content from call to call, so nothing may share its memory.
      if (mutated) lifetimes_[index] = {0, INT32_MAX};
    }
    return index;
  }

  void touch(ValueIndex index) {
    if (const auto it = lifetimes_.find(index); it != lifetimes_.end()) it->second.second = std::max(it->second.second, now_);
  }

  Result<executorch::TensorValue> tensor_value(const torch::Value& value) const {
    executorch::TensorValue tensor;
    const auto type = executorch::scalar_type(value.type.dtype);
    if (!type) return diag(DiagKind::UnsupportedDtype, fmt::format("'{}' is {}, which a .pte cannot hold", value.name, torch_name(value.type.dtype)));
    tensor.type = *type;
    for (size_t i = 0; i < value.type.shape.size(); ++i) {
      const DimRange range = graph_.dims->range(value.type.shape[i]);
      if (range.high > INT32_MAX)
        return diag(DiagKind::UnsupportedShape, fmt::format("dimension {} of '{}' ({}) has no upper bound", i, value.name, graph_.dims->str(value.type.shape[i])),
                    "export with torch.export.Dim(..., max=...), so that memory can be planned");
      tensor.sizes.push_back(static_cast<int32_t>(std::max<int64_t>(range.high, 0)));
      tensor.dim_order.push_back(static_cast<uint8_t>(i));
      if (!value.type.shape[i].is_constant()) tensor.dynamism = executorch::Dynamism::UpperBound;
    }
    return tensor;
  }

  bool is_mutated(const GraphInput& input) const {
    return std::any_of(graph_.outputs.begin(), graph_.outputs.end(), [&](const GraphOutput& o) {
      return (o.kind == GraphOutput::Kind::BufferMutation || o.kind == GraphOutput::Kind::ParameterMutation) && o.target == input.target;
    });
  }

  int32_t add_data(const Weight& weight, bool initial) {
    auto& list = initial ? program_.initial_values : program_.constants;
    auto write = [weight](OutputFile& out, uint64_t at) -> Status {
      constexpr int64_t kTile = int64_t{1} << 18;
      std::string tile;
      for (int64_t done = 0; done < weight.elements(); done += kTile) {
        const int64_t count = std::min(kTile, weight.elements() - done);
        tile.resize(static_cast<size_t>(byte_size(weight.dtype(), count)));
        weight.read(done, count, reinterpret_cast<std::byte*>(tile.data()));
        TRY_DO(out.write_at(at + static_cast<uint64_t>(byte_size(weight.dtype(), done)), as_bytes(tile)));
      }
      return {};
    };
    list.push_back({weight.key(), executorch::streamed_bytes(weight.byte_size(), write)});
    return static_cast<int32_t>(list.size()) - 1;
  }

  Status call_delegate(size_t d) {
    const partition::Delegate& delegate = g_.delegates[d];
    executorch::DelegateCall call;
    call.delegate = static_cast<int32_t>(plan_.delegates.size());
    for (const auto* list : {&delegate.inputs, &delegate.outputs}) {
      for (ValueId v : *list) {
        TRY(const ValueIndex index, value_of(v));
        call.args.push_back(index);
      }
    }
    plan_.delegates.push_back({std::string(executorch::kCoreMLBackendId), static_cast<int32_t>(program_.blobs.size()), blobs_[d].specs});
    program_.blobs.push_back({blobs_[d].key, std::move(blobs_[d].directory.bytes), blobs_[d].directory.alignment});
    plan_.instructions.push_back(std::move(call));
    return {};
  }

  Status call_kernel(torch::NodeId n) {
    const torch::Node& node = graph_.nodes[n];
    Diagnostic d = diag(DiagKind::NoCpuKernel, "ExecuTorch has no kernel for this operator");
    d.op = node.target;
    d.node = node.name;
    d.source = node.source.str();
    return d;
  }

  Status add_output(const GraphOutput& output) {
    using Kind = GraphOutput::Kind;
    const auto* v = output.value.as<ValueId>();
    if (output.kind == Kind::UserOutput) {
      if (!v) {
        TRY(const ValueIndex literal, add_scalar(output.value));
        plan_.outputs.push_back(literal);
        return {};
      }
      TRY(const ValueIndex index, value_of(*v));
      plan_.outputs.push_back(index);
      return {};
    }
    if (output.kind != Kind::BufferMutation && output.kind != Kind::ParameterMutation && output.kind != Kind::UserInputMutation) return {};
    for (const GraphInput& input : graph_.inputs) {
      const bool match = output.kind == Kind::UserInputMutation
                             ? input.kind == GraphInput::Kind::UserInput && input.value && graph_.values[input.value].name == output.target
                             : input.target == output.target && input.kind != GraphInput::Kind::UserInput;
      if (!match || !v || *v == input.value) continue;
      TRY(const ValueIndex destination, value_of(input.value));
      TRY(const ValueIndex source, value_of(*v));
      const ValueIndex blocking = add(executorch::Bool{false});
      plan_.instructions.push_back(executorch::KernelCall{operator_index("aten::copy_", ""), {destination, source, blocking, destination}});
    }
    return {};
  }

  int32_t operator_index(const std::string& name, const std::string& overload) {
    const executorch::Operator wanted{name, overload};
    const auto it = std::find(plan_.operators.begin(), plan_.operators.end(), wanted);
    if (it != plan_.operators.end()) return static_cast<int32_t>(it - plan_.operators.begin());
    plan_.operators.push_back(wanted);
    return static_cast<int32_t>(plan_.operators.size()) - 1;
  }

  void place_tensors() {
    std::vector<ValueIndex> planned;
    std::vector<executorch::Lifetime> lifetimes;
    for (size_t i = 0; i < plan_.values.size(); ++i) {
      const auto it = lifetimes_.find(static_cast<ValueIndex>(i));
      if (it == lifetimes_.end()) continue;
      const auto& tensor = std::get<executorch::TensorValue>(plan_.values[i]);
      planned.push_back(it->first);
      lifetimes.push_back({executorch::byte_size(tensor).value_or(0), it->second.first, std::min(it->second.second, now_)});
    }
    const executorch::MemoryPlan placed = executorch::plan_memory(lifetimes);
    for (size_t i = 0; i < planned.size(); ++i)
      std::get<executorch::TensorValue>(plan_.values[static_cast<size_t>(planned[i])]).allocation = {1, placed.offsets[i]};
    plan_.non_const_buffer_sizes = {0, static_cast<int64_t>(placed.pool_size)};
  }

  const partition::PartitionedGraph& g_;
  const torch::Graph& graph_;
  std::vector<DelegateBlob> blobs_;
  executorch::PteProgram program_;
  executorch::Plan plan_;
  std::unordered_map<ValueId, ValueIndex> index_;
  std::unordered_map<ValueId, const GraphInput*> stored_;  // parameters, buffers, constants
  std::unordered_map<ValueIndex, std::pair<int32_t, int32_t>> lifetimes_;
  int32_t now_ = 0;
};

}  // namespace

Result<executorch::PteProgram> plan_method(const partition::PartitionedGraph& g, std::vector<DelegateBlob> blobs, const std::string& method) {
  return Planner(g, std::move(blobs), method).run();
}

}  // namespace cortland::edge
