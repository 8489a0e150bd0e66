// PlanBuilder: one execution plan while it grows. It hands out slots for values, notes which instruction mentions which
// tensor, and places the planned tensors when the plan is done. Constants go to the program, where all of its plans share
// them. Lives on the stack of plan.cc; the graph and the program outlive it; one thread.
#pragma once

#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "executorch/program.h"
#include "torch/graph.h"

namespace cortland::edge {

using executorch::ValueIndex;

// What a tensor's memory is, if it is more than a result of an instruction.
struct Storage {
  enum class Kind : uint8_t {
    Activation,  // planned, free for others when it is not in use
    Constant,    // bytes of the program
    Buffer,      // planned, keeps its content from call to call, starts with `data`
    CallersOwn,  // the caller's memory, so that writes reach the caller
  } kind = Kind::Activation;
  Weight data;  // Constant and Buffer
};

class PlanBuilder {
 public:
  PlanBuilder(const torch::Graph& graph, executorch::PteProgram& program, const std::string& method);

  const torch::Graph& graph() const { return graph_; }
  DimTable& dims() { return *graph_.dims; }

  // Literals; equal ones share a slot, since no kernel writes to its scalar arguments.
  ValueIndex null() { return literal("null", executorch::Null{}); }
  ValueIndex integer(int64_t value);
  ValueIndex real(double value);
  ValueIndex boolean(bool value);
  ValueIndex text(const std::string& value);
  ValueIndex ints(const std::vector<int64_t>& values);  // an IntList of literals
  // A slot of its own: what a kernel writes, lists, inputs.
  ValueIndex add(executorch::EValue value);

  // Says what the memory of a graph input is; before its first mention.
  void store(torch::ValueId v, Storage storage) { stored_[v] = std::move(storage); }
  // The bytes of a constant tensor; null for all others.
  const Weight* constant_data(torch::ValueId v) const;
  // The slot of a torch tensor, made at its first mention.
  Result<ValueIndex> tensor(torch::ValueId v);
  // Makes `v` another name and shape for the memory of `base`, without an instruction. False when it needs memory of its own:
  // an output, a size not known before the run, or memory that changes under it.
  Result<bool> alias(torch::ValueId v, torch::ValueId base);
  // Makes `v` another name for a tensor that is there. Before its first mention.
  void bind(torch::ValueId v, ValueIndex tensor) { index_[v] = tensor; }
  bool is_bound(torch::ValueId v) const { return index_.count(v) > 0; }
  // The tensor whose memory `tensor` shows: itself unless it is an alias.
  ValueIndex root(ValueIndex tensor) const;
  // Outputs are the caller's to keep; two of them never share memory with each other or with an input.
  void keep_apart(torch::ValueId output) { outputs_.insert(output); }
  // A planned tensor that torch does not know; `name` is for messages. Row-major without a `dim_order`, outermost dimension first.
  Result<ValueIndex> scratch(const TensorType& type, const std::string& name, std::vector<uint8_t> dim_order = {});
  Result<ValueIndex> constant(const Weight& data, const std::string& name);

  // Appends an instruction; the tensors it mentions are alive now.
  void emit(executorch::Instruction instruction);
  void call(const std::string& name, const std::string& overload, std::vector<ValueIndex> args);
  // The same for a kernel that reads shapes only, which outlive the memory.
  void call_on_shapes(const std::string& name, const std::string& overload, std::vector<ValueIndex> args);
  void mention(ValueIndex index);
  // Jumps to the instruction emitted next by `land` when the condition is false; jumps back go to a position.
  int32_t position() const { return static_cast<int32_t>(plan_.instructions.size()); }
  int32_t jump_if_false(ValueIndex condition, int32_t destination = -1);
  void land(int32_t jump);
  // What the instructions from `start` on mention of earlier tensors stays alive until now: they run several times.
  void keep_from(int32_t start);
  // Index of the delegate in the plan.
  int32_t add_delegate(executorch::Delegate delegate);

  void add_input(ValueIndex index);
  void add_output(ValueIndex index);
  // Largest value of a size, for which memory is planned: from the ranges of its symbols; a symbol without an upper bound
  // counts with its bound by `limit_symbol`, else with its size when the program was traced.
  Result<int64_t> upper_bound(Dim dim) const;
  void limit_symbol(const std::string& symbol, int64_t bound);
  // Symbols that were held to their traced size.
  const std::set<std::string>& held_symbols() const { return held_; }

  // Places the tensors and moves the plan into the program.
  void finish();

 private:
  struct Lifetime {
    int32_t first = -1, last = -1;
  };

  ValueIndex literal(const std::string& key, executorch::EValue value);
  Result<executorch::TensorValue> describe(const TensorType& type, const std::string& name) const;
  int32_t add_data(const Weight& data, bool initial);
  int32_t operator_index(const std::string& name, const std::string& overload);
  void place_tensors();

  const torch::Graph& graph_;
  executorch::PteProgram& program_;
  executorch::Plan plan_;
  std::unordered_map<std::string, ValueIndex> literals_;
  std::unordered_map<torch::ValueId, Storage> stored_;
  std::unordered_map<torch::ValueId, ValueIndex> index_;
  std::map<ValueIndex, Lifetime> lifetimes_;  // of planned tensors
  std::map<ValueIndex, ValueIndex> aliases_;  // to the tensor whose memory it is
  std::unordered_set<torch::ValueId> outputs_;
  std::map<std::string, int64_t> limits_;
  mutable std::set<std::string> held_;
  int32_t now_ = 0;  // 0 is the time of the inputs, instruction i runs at i + 1
};

}  // namespace cortland::edge
