// One function of a program, flattened for running: values are registers, constants are materialised once, every step knows
// which registers nobody reads after it. Built once; only the kernels in it change while it runs. Not synchronised.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/kernel.h"
#include "mil/program.h"

namespace cortland::engine {

// Where a step reads: a register of the run, or the table of constants.
struct Source {
  enum class Kind : uint8_t { Register, Constant } kind = Kind::Register;
  int32_t index = -1;
};

struct Step {
  enum class Kind : uint8_t { Kernel, Cond, WhileLoop, ReadState, WriteState } kind = Kind::Kernel;
  const mil::MilOp* op = nullptr;
  std::string name;
  std::vector<std::vector<Source>> inputs;            // by slot
  std::vector<std::vector<mil::RuntimeValue>> arguments;  // the same at run time; constants are in place from the start
  std::vector<mil::Type> result_types;
  std::vector<int32_t> results;   // registers
  std::vector<int32_t> releases;  // registers that are read for the last time here
  std::vector<int32_t> blocks;    // indices into Plan::blocks
  int32_t state = -1;             // index into Plan::states
  std::unique_ptr<Kernel> kernel;  // null: the reference kernel
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
  std::vector<StatePlan> states;
  std::vector<int32_t> inputs;  // registers, states left out
  int32_t registers = 0;
};

// constexpr_* ops are evaluated here.
Result<Plan> make_plan(const mil::Program& program, const mil::Function& function, bool fast_kernels);

}  // namespace cortland::engine
