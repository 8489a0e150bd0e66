// The MIL IR: Program > Function > Block > Op. A Program owns everything in it and moves; ids are indices into its stores.
// Constants are operands, not ops: equal constants are one ConstId, and the writer makes the `const` ops. Not synchronised.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/id.h"
#include "mil/op.h"
#include "tensor/weight.h"

namespace cortland::mil {

using ValueId = Id<struct ValueTag>;
using OpId = Id<struct OpTag>;
using BlockId = Id<struct BlockTag>;
using ConstId = Id<struct ConstTag>;

// What an op reads: a value, or a constant.
struct Operand {
  enum class Kind : uint8_t { None, Value, Const } kind = Kind::None;
  int32_t index = -1;

  constexpr Operand() = default;
  constexpr Operand(ValueId v) : kind(Kind::Value), index(v.index) {}  // NOLINT
  constexpr Operand(ConstId c) : kind(Kind::Const), index(c.index) {}  // NOLINT
  constexpr bool is_value() const { return kind == Kind::Value; }
  constexpr bool is_const() const { return kind == Kind::Const; }
  constexpr explicit operator bool() const { return kind != Kind::None; }
  constexpr ValueId value() const { return ValueId{is_value() ? index : -1}; }
  constexpr ConstId constant() const { return ConstId{is_const() ? index : -1}; }
  friend constexpr bool operator==(Operand, Operand) = default;
};

// Binds operands to the input `slot` of an op's descriptor; a variadic input takes several, in order.
struct Binding {
  uint8_t slot = 0;
  Operand operand;
};

struct Const {
  Type type;                         // always a static tensor
  Weight data;                       // numbers and bools
  std::vector<std::string> strings;  // when dtype is String
};

struct Use {
  OpId op;
  uint32_t binding = 0;  // index into Op::operands
  friend bool operator==(Use, Use) = default;
};

struct Value {
  std::string name;
  Type type;
  OpId producer;        // invalid for function and block inputs
  std::vector<Use> uses;  // by ops; block and function outputs are not in this list
};

struct Op {
  const MilOp* def = nullptr;
  std::string name;
  std::vector<Binding> operands;  // grouped by slot, slots ascending
  std::vector<ValueId> results;
  std::vector<BlockId> blocks;    // cond: true, false; while_loop: condition, body
  BlockId parent;
  int32_t origin = -1;            // the torch node it came from
};

struct Block {
  std::vector<ValueId> inputs;
  std::vector<OpId> ops;
  std::vector<Operand> outputs;
};

struct Output {
  std::string name;
  Operand operand;
};

struct Function {
  std::string name = "main";
  std::vector<ValueId> inputs;  // tensors and states
  BlockId body;
  std::vector<Output> outputs;
  // Allowed shapes by input name, for inputs with enumerated shapes; the first is the default. Position ties inputs together.
  std::map<std::string, std::vector<std::vector<int64_t>>> enumerated_shapes;
};

struct NamedOperand;

class Program {
 public:
  explicit Program(Target target = Target::iOS15, std::shared_ptr<DimTable> dims = std::make_shared<DimTable>())
      : target(target), dims(std::move(dims)) {}

  Target target;
  std::shared_ptr<DimTable> dims;
  std::vector<Function> functions;
  std::map<std::string, std::string> metadata;  // user-defined entries of the model description

  Store<ValueId, Value> values;
  Store<OpId, Op> ops;
  Store<BlockId, Block> blocks;
  Store<ConstId, Const> consts;

  // Constants; equal ones get the same id.
  ConstId constant(Weight data);
  ConstId constant(const std::string& text);
  ConstId constant(bool v);
  ConstId constant(int32_t v);
  ConstId constant(float v, DType dtype = DType::F32);
  ConstId constant(const std::vector<int32_t>& v);
  ConstId constant(const std::vector<float>& v, DType dtype = DType::F32);
  ConstId constant(const std::vector<std::string>& v);

  BlockId add_block() { return blocks.add(Block{}); }
  ValueId add_value(std::string name, Type type);
  // Appends an op to `block` (or puts it at `position`), infers its result types and adds its result values. Omitted
  // optional inputs with a default are filled in, as coremltools does. Operand types are checked against the descriptor.
  Result<OpId> add_op(BlockId block, const MilOp& def, std::vector<NamedOperand> inputs, std::string name = {},
                      std::vector<BlockId> blocks = {}, int position = -1);
  // The same with result types already known (programs that were read from a file).
  OpId add_typed_op(BlockId block, const MilOp& def, std::vector<Binding> operands, std::vector<Type> types, std::string name,
                    std::vector<BlockId> blocks = {}, int position = -1);

  void set_operand(OpId op, uint32_t binding, Operand operand);
  void add_operand(OpId op, std::string_view input, Operand operand);  // binds an input that was left out
  void replace_uses(ValueId from, Operand to);  // in ops, block outputs and function outputs
  void erase_op(OpId op);                       // its results must be unused
  bool is_output(ValueId v) const;              // of any block or function

  const Type& type(Operand operand) const;
  const Type& type(ValueId v) const { return values[v].type; }
  // The single operand bound to an input, or None.
  Operand operand(const Op& op, std::string_view input) const;
  std::vector<Operand> operands(const Op& op, std::string_view input) const;

  // Rolls back everything added since (a lowering that failed half way).
  struct Mark {
    int32_t values, ops, blocks;
    BlockId block;
    size_t block_ops;
  };
  Mark mark(BlockId block) const { return {values.size(), ops.size(), blocks.size(), block, blocks[block].ops.size()}; }
  void roll_back(const Mark& mark);

 private:
  void add_use(Operand operand, Use use);
  void remove_use(Operand operand, Use use);
  std::unordered_map<std::string, ConstId> const_index_;
};

struct NamedOperand {
  std::string_view name;
  std::vector<Operand> operands;
  NamedOperand(std::string_view name, Operand operand) : name(name), operands{operand} {}
  NamedOperand(std::string_view name, ValueId v) : name(name), operands{Operand(v)} {}
  NamedOperand(std::string_view name, ConstId c) : name(name), operands{Operand(c)} {}
  NamedOperand(std::string_view name, std::vector<Operand> operands) : name(name), operands(std::move(operands)) {}
};

// What an op's `infer` sees: operand types and the values of constant operands, by input name.
class InferContext {
 public:
  InferContext(const MilOp& def, std::span<const Binding> operands, Program& program, std::span<const BlockId> blocks = {})
      : def(def), program(program), dims(*program.dims), blocks(blocks), operands_(operands) {}

  const MilOp& def;
  Program& program;
  DimTable& dims;
  std::span<const BlockId> blocks;

  bool has(std::string_view input) const;
  const Type& type(std::string_view input) const;  // the input must be present
  const Shape& shape(std::string_view input) const { return type(input).shape(); }
  DType dtype(std::string_view input) const { return type(input).dtype(); }
  int rank(std::string_view input) const { return type(input).rank(); }
  std::vector<Type> types(std::string_view input) const;  // variadic
  std::span<const Binding> bindings() const { return operands_; }
  // Constant operands. is_constant() says whether a value is known; the others fall back to the descriptor's default.
  bool is_constant(std::string_view input) const;
  Operand operand(std::string_view input) const;
  std::vector<int64_t> ints(std::string_view input) const;
  int64_t integer(std::string_view input) const;
  double number(std::string_view input) const;
  bool boolean(std::string_view input) const;
  std::string str(std::string_view input) const;

  Diagnostic error(std::string why) const;  // DiagKind::BadMil, with the op's name

 private:
  const Const* find_constant(std::string_view input) const;
  std::span<const Binding> operands_;
};

// Checks structure, names, operand types and inferred result types of a whole program.
Status verify(const Program& program);

}  // namespace cortland::mil
