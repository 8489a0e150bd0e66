// Methods that return what they were made with, such as "get_max_seq_len": how programs tell their runners about themselves.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "executorch/program.h"
#include "tensor/weight.h"

namespace cortland::edge {

using Literal = std::variant<bool, int64_t, double, std::string, Weight>;

struct ConstantMethod {
  std::string name;
  std::vector<Literal> values;
  std::string structure;  // pytree text of the result; empty: of one value that value, of several a list
};

// Adds the method; its tensors are constants of the program.
Status add_constant_method(executorch::PteProgram& program, const ConstantMethod& method);

}  // namespace cortland::edge
