// Lowering: what an operator's `lower` sees. Arguments come by schema name; tensors arrive as MIL operands in the node's
// compute type (float16 or float32; integers as int32, bools as bool); `op` emits a MIL op and folds constants on the way.
// A node whose constants do not fit float16 is lowered again in float32 by the driver.
#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "mil/program.h"
#include "torch/graph.h"

namespace cortland::torch {
struct Schema;
}

namespace cortland::torch_ops {

using mil::Operand;

// The results of one node, in schema order (a Tensor[] return is flattened). A missing entry means "not available":
// the node is refused if somebody uses it.
struct Results {
  std::vector<Operand> operands;
  Results(Operand o) : operands{o} {}                                // NOLINT
  Results(std::vector<Operand> o) : operands(std::move(o)) {}        // NOLINT
};
using Lowered = Result<Results>;

// A MIL argument as lowerings write it: an operand or a literal. Numbers take the element type of their group.
struct MilArg {
  using Literal = std::variant<Operand, std::vector<Operand>, bool, int64_t, double, std::string, std::vector<int64_t>,
                               std::vector<double>, std::vector<bool>>;
  std::string_view name;
  Literal value;
  MilArg(std::string_view n, Operand v) : name(n), value(v) {}
  MilArg(std::string_view n, std::vector<Operand> v) : name(n), value(std::move(v)) {}
  MilArg(std::string_view n, bool v) : name(n), value(v) {}
  MilArg(std::string_view n, int v) : name(n), value(int64_t{v}) {}
  MilArg(std::string_view n, int64_t v) : name(n), value(v) {}
  MilArg(std::string_view n, double v) : name(n), value(v) {}
  MilArg(std::string_view n, const char* v) : name(n), value(std::string(v)) {}
  MilArg(std::string_view n, std::string v) : name(n), value(std::move(v)) {}
  MilArg(std::string_view n, std::vector<int64_t> v) : name(n), value(std::move(v)) {}
  MilArg(std::string_view n, std::vector<double> v) : name(n), value(std::move(v)) {}
  MilArg(std::string_view n, std::vector<bool> v) : name(n), value(std::move(v)) {}
};

struct LoweringOptions {
  mil::Target target = mil::Target::iOS15;
  DType float_type = DType::F16;  // what float32 tensors of the model become
};

class LoweringState;  // the MIL function under construction: torch values -> operands, casts and sizes already made

class Lowering {
 public:
  Lowering(LoweringState& state, const torch::Graph& graph, torch::NodeId node, const torch::Schema* schema, DType compute);

  // --- the node
  const torch::Graph& graph() const { return graph_; }
  const torch::Node& node() const { return graph_.nodes[node_]; }
  const LoweringOptions& options() const;
  mil::Target target() const { return options().target; }
  bool at_least(mil::Target t) const { return target() >= t; }
  DType compute() const { return compute_; }  // F16 or F32

  // --- arguments, by schema name (defaults applied)
  const torch::Arg& arg(std::string_view name) const;
  bool has(std::string_view name) const;               // present and not None
  bool is_tensor(std::string_view name) const;         // a `Tensor` argument may also hold a Python number
  Result<Operand> tensor(std::string_view name);       // also numbers, as rank-0 constants; float types in compute()
  Result<Operand> stored_tensor(std::string_view name);  // as it is, whatever its element type
  // A value that was computed in float32 keeps that type; constants keep theirs.
  Result<Operand> precise_tensor(std::string_view name);
  Result<std::vector<Operand>> tensors(std::string_view name);  // None entries are empty operands
  Result<std::vector<Operand>> precise_tensors(std::string_view name);
  Result<int64_t> integer(std::string_view name) const;         // rejects symbolic sizes
  Result<std::vector<int64_t>> ints(std::string_view name) const;
  // int[2] arguments where one number stands for both.
  Result<std::vector<int64_t>> ints(std::string_view name, size_t count) const;
  Result<Dim> dim(std::string_view name) const;                 // may be symbolic
  Result<Shape> dims(std::string_view name) const;
  Result<double> number(std::string_view name) const;           // int, float or bool literal
  bool boolean(std::string_view name) const;
  std::string str(std::string_view name) const;
  std::optional<DType> dtype(std::string_view name) const;      // torch's
  // The type torch recorded for a tensor argument (numbers: rank 0, I64, F32 or Bool).
  TensorType torch_type(std::string_view name) const;
  const Shape& shape(std::string_view name) const;
  int rank(std::string_view name) const { return static_cast<int>(shape(name).size()); }
  const TensorType& result_type(size_t i = 0) const;            // torch's
  bool result_used(size_t i) const;
  // A dimension argument made non-negative; rejects what is out of range.
  Result<int64_t> axis(std::string_view name, int rank) const;
  Result<std::vector<int64_t>> axes(std::string_view name, int rank) const;  // None or empty: all

  // --- MIL
  DType mil_dtype(DType torch) const;  // float types -> compute(), integers -> I32, bool -> Bool
  mil::Type type(Operand o) const;
  const Shape& shape_of(Operand o) const;
  DType dtype_of(Operand o) const { return type(o).dtype(); }
  int rank_of(Operand o) const { return type(o).rank(); }
  std::optional<std::vector<int64_t>> const_ints(Operand o) const;   // when it is a small constant
  std::optional<std::vector<float>> const_floats(Operand o) const;
  const Weight* const_weight(Operand o) const;                       // when it is a constant of any size

  // Whether MIL takes it where a constant is required: a constant, or a compressed one that is expanded at load time.
  bool is_weight(Operand o) const;

  Result<Operand> op(const mil::MilOp& def, std::vector<MilArg> args);
  // Lowers a region where the op stands; its outputs.
  Result<std::vector<Operand>> inlined(std::string_view region, const std::vector<Operand>& inputs);
  Result<std::vector<Operand>> multi(const mil::MilOp& def, std::vector<MilArg> args);  // several results
  Operand constant(Weight w);
  Operand constant(double v, DType dtype);                // rank 0
  Operand constant(const std::vector<int64_t>& v);        // int32 vector
  Result<Operand> cast(Operand o, DType to);              // nothing if it has that type already
  // Sizes as MIL values: a constant where static, otherwise computed from the inputs' sizes.
  Result<Operand> size(Dim d);                            // int32, rank 0
  Result<Operand> sizes(const Shape& shape);              // int32 vector
  Result<Operand> reshape(Operand o, const Shape& to);    // also to symbolic shapes; nothing if equal
  Result<Operand> transpose(Operand o, const std::vector<int64_t>& perm);
  Result<Operand> expand(Operand o, const Shape& to);     // broadcasting, by tile or fill
  Result<Operand> squeeze(Operand o, std::vector<int64_t> axes);
  Result<Operand> unsqueeze(Operand o, std::vector<int64_t> axes);
  // Says what is known of the shape of a value this node made (its MIL type may hold unknown sizes).
  Operand with_shape(Operand o, const Shape& shape);
  DimTable& dim_table() const;

  // --- regions of control flow
  // As they are, for the inputs of a region; empty for what is not a tensor.
  Result<std::vector<Operand>> stored_tensors(std::string_view name);
  const torch::Region& region(std::string_view name) const;
  // A value that a block is handed.
  mil::ValueId block_input(const std::string& name, mil::Type type);
  // Lowers a region into a block of its own that takes `taken`; `inputs` stand for the region's inputs. Its outputs are made
  // by the block itself, floats in compute().
  Result<mil::BlockId> block(std::string_view region, const std::vector<Operand>& inputs, const std::vector<mil::ValueId>& taken = {});
  Result<std::vector<Operand>> multi(const mil::MilOp& def, std::vector<MilArg> args, std::vector<mil::BlockId> blocks);

  // --- refusing
  Diagnostic reject(DiagKind kind, std::string what, std::string help = {}) const;
  // "argument 'x' = ... has no Core ML form".
  Diagnostic reject_argument(std::string_view name, std::string_view value, std::string help) const;

 private:
  Result<std::vector<Operand>> fold(mil::OpId op);  // an op on constants becomes constants
  LoweringState& state_;
  const torch::Graph& graph_;
  torch::NodeId node_;
  const torch::Schema* schema_;
  DType compute_;
};

}  // namespace cortland::torch_ops
