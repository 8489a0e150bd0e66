// One function of a program, flattened for running: values are registers, constants are materialised once, every step knows
// which registers nobody reads after it. make_plan() takes the ops over as they are, compile() chooses how each of them runs.
// Built once; only the kernels in it change while it runs. Not synchronised.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/kernel.h"
#include "mil/program.h"

namespace cortland::engine {

// Where a step reads: a register of the run, or the table of constants.
struct Source {
  enum class Kind : uint8_t { Register, Constant } kind = Kind::Register;
  int32_t index = -1;
  bool last = false;  // nobody reads the register afterwards, so its value may be moved out

  bool is_register() const { return kind == Kind::Register; }
};

struct Step {
  enum class Kind : uint8_t { Kernel, Cond, WhileLoop, ReadState, WriteState } kind = Kind::Kernel;
  const mil::MilOp* op = nullptr;
  std::string name;
  // By slot of the op; one more slot holds the addends of fused ops.
  std::vector<std::vector<Source>> inputs;
  std::vector<std::vector<mil::RuntimeValue>> arguments;  // the same at run time; constants are in place from the start
  std::vector<mil::Type> result_types;
  std::vector<int32_t> results;   // registers
  std::vector<int32_t> releases;  // registers that are read for the last time here
  std::vector<int32_t> blocks;    // indices into Plan::blocks
  int32_t state = -1;             // index into Plan::states
  std::unique_ptr<Kernel> kernel;  // null: the reference kernel
  bool rounds = false;             // its results are rounded to float16
};

struct BlockPlan {
  std::vector<int32_t> inputs;  // registers
  std::vector<Step> steps;
  std::vector<Source> outputs;
  std::vector<int32_t> releases;  // registers that are read for the last time by the outputs, or never
};

struct StatePlan {
  std::string name;
  DType dtype = DType::Unknown;
  std::vector<int64_t> shape;
};

struct Plan {
  std::vector<BlockPlan> blocks;  // the function's body is the last one
  std::vector<mil::RuntimeValue> constants;
  // Constants that are not computed yet: they have a type and a shape, but no elements.
  std::unordered_map<int32_t, std::shared_ptr<const Expression>> pending;
  std::vector<mil::Type> types;  // by register, as the program says
  std::vector<int32_t> owner;    // by register: the block that computes it
  std::vector<StatePlan> states;
  std::vector<int32_t> inputs;  // registers, states left out
  bool wide = false;  // compiled: floating-point registers hold float32, whatever the program says

  int32_t new_register(mil::Type type, int32_t block);
  int32_t new_constant(mil::RuntimeValue value);
  Status expand(int32_t constant);  // computes it if it is pending
};

// constexpr_* ops are evaluated here, or with `keep_expressions` some of them become pending constants.
Result<Plan> make_plan(const mil::Program& program, const mil::Function& function, bool keep_expressions);
// Fills in what is released and moved. Once, at the end.
void plan_lifetimes(Plan& plan);

}  // namespace cortland::engine
