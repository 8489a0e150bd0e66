// What rules read of an op: types of operands, and the values of constant ones. Large constants are never read.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mil/program.h"

namespace cortland::device_rules {

// The type of an operand, or null when it was left out.
const mil::Type* type_of(const mil::Program& program, const mil::Op& op, std::string_view input);
// A constant of up to 1024 integers or bools.
std::optional<std::vector<int64_t>> small_ints(const mil::Program& program, const mil::Op& op, std::string_view input);
std::optional<float> small_float(const mil::Program& program, const mil::Op& op, std::string_view input);
std::optional<std::string> text(const mil::Program& program, const mil::Op& op, std::string_view input);
// A constant, or a compressed one that is expanded when the model is loaded.
bool is_weight(const mil::Program& program, mil::Operand operand);

}  // namespace cortland::device_rules
