// Ops that compute the same in any order of their axes, once the arguments that name axes are renamed.
#pragma once

#include "mil_passes/rewrite.h"

namespace cortland::mil_passes {

using Permutation = std::vector<int64_t>;  // as `transpose` has it: axis i of the result is axis perm[i] of x

// Whether the op can be given all its tensors of this rank transposed, and then gives all its results transposed.
bool works_in_any_layout(const Rewriter& r, mil::OpId id, size_t rank);
// Renames the axes and transposes the constants of such an op, and the types of its results; its value operands are
// transposed by somebody else.
void change_layout(Rewriter& r, mil::OpId id, const Permutation& perm);

// Whether the op gives the same result for a transposed x once its axes are renamed: a reduction that drops its axes and
// keeps the others in order.
bool absorbs_layout(const Rewriter& r, mil::OpId id, const Permutation& perm);
void absorb_layout(Rewriter& r, mil::OpId id, const Permutation& perm);

}  // namespace cortland::mil_passes
