// What the resizing ops do, worked out from the operands of one run. Plain functions.
#pragma once

#include "mil_ops/sampling.h"

namespace cortland::mil_ops {

// The last axes, in order, each with where its new elements come from; `low` alone says so when it is not linear.
struct Resizing {
  bool linear = true;
  std::vector<std::vector<Tap>> axes;
};

Result<Resizing> read_resize(const mil::EvalContext& c);
Result<Resizing> read_resize_bilinear(const mil::EvalContext& c);
Result<Resizing> read_resize_nearest_neighbor(const mil::EvalContext& c);
Result<Resizing> read_upsample_bilinear(const mil::EvalContext& c);
Result<Resizing> read_upsample_nearest_neighbor(const mil::EvalContext& c);

}  // namespace cortland::mil_ops
