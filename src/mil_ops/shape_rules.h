// Type rules and axis checks that several families of ops share.
#pragma once

#include "mil/program.h"
#include "mil/runtime.h"

namespace cortland::mil_ops {

using Types = Result<std::vector<mil::Type>>;

inline Types one(mil::Type type) { return std::vector<mil::Type>{std::move(type)}; }

// The result has the type of input `x`.
Types same_as_x(mil::InferContext& c);

// Shape of two operands broadcast together, aligned right. Two different symbols give an unknown size.
Result<Shape> broadcast_dims(mil::InferContext& c, const Shape& a, const Shape& b);

// Product of the sizes [first, last).
Dim product(DimTable& dims, const Shape& shape, size_t first, size_t last);

// A size known only at run time for every entry of a shape operand; its length must be static.
Result<Shape> unknown_shape(mil::InferContext& c, std::string_view shape_operand);

// `axis` counted from the front. The context is an InferContext or an EvalContext.
Result<size_t> axis_in(const mil::InferContext& c, int64_t axis, int rank);
Result<size_t> axis_in(const mil::EvalContext& c, int64_t axis, int rank);
// The same for a list, in the given order; an axis named twice is an error.
Result<std::vector<size_t>> axes_in(const mil::InferContext& c, const std::vector<int64_t>& axes, int rank);
Result<std::vector<size_t>> axes_in(const mil::EvalContext& c, const std::vector<int64_t>& axes, int rank);

// Run-time sizes computed from data: none negative, and few enough elements to be allocated.
Status check_sizes(const mil::EvalContext& c, const std::vector<int64_t>& sizes);

// Whether two sizes can be the same number; false only for two different constants.
inline bool may_equal(Dim a, Dim b) { return a == b || !a.is_constant() || !b.is_constant(); }

}  // namespace cortland::mil_ops
