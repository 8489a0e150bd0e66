// What passes are written with. A Rule looks at one op and what stands around it, and puts something better in its place;
// rewrite() applies rules until none fires. One thread, one program at a time.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "mil/program.h"

namespace cortland::mil_passes {

using mil::Operand;

class Rewriter {
 public:
  explicit Rewriter(mil::Program& program) : program(program) {}

  mil::Program& program;

  // --- reading. Ids stay valid while ops come and go; references to an Op do so too.
  const mil::Op& op(mil::OpId id) const { return program.ops[id]; }
  bool is(mil::OpId id, std::string_view name) const { return id && op(id).def && op(id).def->name == name; }
  Operand input(mil::OpId id, std::string_view name) const { return program.operand(op(id), name); }
  mil::OpId producer(Operand o) const;                         // none for inputs and constants
  mil::OpId producer(Operand o, std::string_view name) const;  // none when it is another op
  const mil::Type& type(Operand o) const { return program.type(o); }
  const Shape& shape(Operand o) const { return program.type(o).shape(); }
  Operand result(mil::OpId id) const { return op(id).results[0]; }
  // Whether one op reads it, once, and nothing else: then it may change.
  bool has_one_use(Operand o) const;
  // The ops that read it, each as often as it does.
  std::vector<mil::OpId> users(Operand o) const;

  // Values of constants; not to be asked of large ones, which are weights.
  std::vector<int64_t> ints(Operand o) const;
  std::vector<float> floats(Operand o) const;
  bool flag(Operand o) const;
  const std::string& text(Operand o) const;
  // The number that all elements of a small constant are.
  std::optional<float> splat(Operand o) const;
  const Weight* weight(Operand o) const;  // null when it is no constant of numbers

  // --- writing
  // A new op right before `at`, which takes over where that came from. Its single result.
  Result<mil::OpId> emit_op(mil::OpId at, std::string_view name, std::vector<mil::NamedOperand> inputs);
  Result<Operand> emit(mil::OpId at, std::string_view name, std::vector<mil::NamedOperand> inputs);
  Operand constant(const std::vector<int64_t>& v) const;  // int32 vector
  void set_input(mil::OpId id, std::string_view name, Operand o);
  // Infers the result types of an op anew after its inputs changed.
  Status infer(mil::OpId id);
  // Whoever read the op's only result reads `by`; the op goes, and with it what only it has read. False where an output of
  // the model must stay a value of its own.
  bool replace(mil::OpId id, Operand by);
  // Erases a pure op whose results nobody reads, then its producers for which that became true.
  void erase_unused(mil::OpId id);
};

struct Rule {
  std::string_view root;                             // the op it looks at
  Result<bool> (*apply)(Rewriter& r, mil::OpId id);  // whether it changed something
};

// Applies the rules to every op of every block, nested ones too, until nothing changes.
Status rewrite(mil::Program& program, std::span<const Rule> rules);

// The blocks of a function, outer before inner.
std::vector<mil::BlockId> blocks_of(const mil::Program& program, const mil::Function& function);

// The position of a given axis: negative ones count from the end.
inline size_t axis_of(int64_t axis, int rank) { return static_cast<size_t>(axis < 0 ? axis + rank : axis); }

}  // namespace cortland::mil_passes
