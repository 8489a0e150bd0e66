// What slice_by_index and slice_by_size read, from the operands of one run.
#pragma once

#include "mil/runtime.h"
#include "mil_ops/strided.h"

namespace cortland::mil_ops {

// The elements of x that are sliced, and the shape they have.
struct Sliced {
  View view;
  Sizes shape;     // with squeezed axes
  Sizes squeezed;  // without them
};

Result<Sliced> slice_by_index_view(const mil::EvalContext& c, const mil::Tensor& x);
Result<Sliced> slice_by_size_view(const mil::EvalContext& c, const mil::Tensor& x);

}  // namespace cortland::mil_ops
