// Where the resizing operators of torch read their input, and the steps that resize one axis. Plain values and functions.
#pragma once

#include <optional>

#include "torch_ops/lowering.h"

namespace cortland::torch_ops {

enum class Filter { Linear, Cubic };

// How torch maps positions of one axis: by the factor the caller gave, else by the two sizes.
struct AxisMap {
  Dim in, out;
  std::optional<double> factor;
  bool align_corners = false;
  bool keeps = false;  // an axis whose size stays is copied, whatever the factor

  bool is_static() const { return in.is_constant() && out.is_constant(); }
  // Input positions for one output position, in torch's float32 arithmetic; for static sizes.
  float scale() const;
  // Whether the factor says the same as the sizes, so that the size is all one needs to know.
  bool factor_agrees() const;
};

// Row-major [out, in] weights of a resized axis.
std::vector<float> filter_weights(const AxisMap& map, Filter filter);
// The same with the filter widened when the axis shrinks, as Pillow does.
std::vector<float> antialias_weights(const AxisMap& map, Filter filter);
// The element each output position shows. `centred`: "nearest-exact".
std::vector<int64_t> nearest_positions(const AxisMap& map, bool centred);

// The nearest element, or a weighted sum of neighbours, along an axis whose size only the input decides.
Result<Operand> nearest_at_run_time(Lowering& in, Operand x, size_t axis, const AxisMap& map, bool centred);
Result<Operand> filter_at_run_time(Lowering& in, Operand x, size_t axis, const AxisMap& map, Filter filter);
// What antialias_weights says, float32 [out, in], for sizes that only the input decides.
Result<Operand> antialias_matrix_at_run_time(Lowering& in, const AxisMap& map, Filter filter);

// What Keys' cubic with a = -0.75 gives the neighbour `tap` (-1 to 2) of a position with the fraction t; float32.
Result<Operand> cubic_weight(Lowering& in, Operand t, int tap);

// Elements at constant positions of an axis, for any rank up to 5.
Result<Operand> take_along(Lowering& in, Operand x, size_t axis, const std::vector<int64_t>& at);

}  // namespace cortland::torch_ops
