// The table of MIL ops, one descriptor for each definition: `gather` is the first, `gather_ios16` and `gather_ios17` its
// successors. A line in ops.def declares a descriptor; a family's .cc file defines it; a line without definition fails to link.
#pragma once

#include "mil/op.h"

namespace cortland::mil_ops {

#define MIL_OP(name) extern const mil::MilOp name;
#include "mil_ops/ops.def"
#undef MIL_OP

// The definition of `name` in force at `target`: the newest that is not newer. Null when there is none.
const mil::MilOp* find(std::string_view name, mil::Target target);
// Whether any target has an op of that name.
bool exists(std::string_view name);
// The first target that has it; the op must exist.
mil::Target introduced(std::string_view name);
// Every definition, by name, then by target.
std::span<const mil::MilOp* const> all();

}  // namespace cortland::mil_ops
