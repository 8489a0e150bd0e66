// Sizes at run time: which slot of a plan holds a symbolic size or another symbolic number, and the instructions that
// compute it. A size is computed when somebody first asks for it, from the shape of a tensor that exists by then.
// Belongs to one PlanBuilder; one thread.
#pragma once

#include "edge/plan_builder.h"

namespace cortland::edge {

class Sizes {
 public:
  explicit Sizes(PlanBuilder& plan) : plan_(plan) {}

  // The tensor exists from now on: its sizes are sources for the symbols in them.
  void add_tensor(torch::ValueId v);
  // A symbolic number exists from now on, in this slot.
  void define(torch::ValueId v, ValueIndex slot);
  // A node that computes numbers from numbers (sym_size, _operator.add, torch.sym_max, ...).
  Status add_node(torch::NodeId node);

  // The slot of a number: SymInt, SymFloat or SymBool.
  Result<ValueIndex> number(torch::ValueId v);
  Result<ValueIndex> size(Dim dim);
  // A literal or a symbolic number.
  Result<ValueIndex> scalar(const torch::Arg& arg);

  struct Source {
    torch::ValueId tensor;
    int axis = 0;
    int64_t coefficient = 1, offset = 0;  // size = coefficient * symbol + offset
  };
  // What is known at one point. Behind instructions that may have been jumped over only what was known before them is.
  struct Known {
    std::map<std::string, Source> sources;              // by symbol
    std::unordered_map<int64_t, ValueIndex> computed;   // by Dim code
    std::unordered_map<torch::ValueId, ValueIndex> numbers;
  };
  const Known& known() const { return known_; }
  void restore(Known known) { known_ = std::move(known); }

 private:

  Result<ValueIndex> symbol(const std::string& name);
  Result<ValueIndex> atom(const DimTable::Atom& atom);
  Result<ValueIndex> call_prim(const torch::Node& node);
  ValueIndex prim(const char* name, std::vector<ValueIndex> args);

  PlanBuilder& plan_;
  Known known_;
};

}  // namespace cortland::edge
