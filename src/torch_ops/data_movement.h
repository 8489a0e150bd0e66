// Steps that move elements without computing on them, shared by the families of views, indexing, sorting and creation.
// Each emits MIL through the Lowering it is given and keeps no state.
#pragma once

#include <optional>

#include "torch_ops/elementwise.h"

namespace cortland::torch_ops {

// A table is made while lowering only up to this many entries.
constexpr int64_t kMostEntries = int64_t{1} << 24;

// Refuses a tensor argument whose rank is not what the operator needs.
Status expect_rank(Lowering& in, std::string_view name, int least, int most = 5);
// The size of result 0 along an axis.
Result<Dim> result_size(Lowering& in, int64_t axis);

// The number a Dim stands for, also when it is negative; nullopt for a symbolic size.
std::optional<int64_t> known(const Lowering& in, Dim d);

// x[..., begin:end:step, ...] by Python's rules. INT64_MAX as `end` means "to the end".
Result<Operand> slice(Lowering& in, Operand x, int64_t axis, Dim begin, Dim end, int64_t step = 1);
// The one element at `index` along an axis, which stays.
Result<Operand> one_at(Lowering& in, Operand x, int64_t axis, Dim index);
Result<Operand> concat(Lowering& in, const std::vector<Operand>& parts, int64_t axis);
// Consecutive parts of `lengths` along an axis; parts that `wanted` leaves out are empty operands.
Result<std::vector<Operand>> split(Lowering& in, Operand x, int64_t axis, const Shape& lengths, const std::vector<bool>& wanted);
// cond ? a : b, broadcast to `shape`.
Result<Operand> select(Lowering& in, Operand cond, Operand a, Operand b, const Shape& shape);
// A tensor of one value.
Result<Operand> filled(Lowering& in, const Shape& shape, double value, DType dtype);
Result<Operand> filled(Lowering& in, const Shape& shape, Operand value);
// int32 [n]: 0, 1, 2, ...
Result<Operand> counting(Lowering& in, Dim n);
// int32 [k]: where the elements of a diagonal lie in an n x m matrix, counted row by row. Refuses a diagonal that is always empty.
Result<Operand> diagonal_places(Lowering& in, Dim n, Dim m, int64_t offset);
// Moves axis `from` so that it becomes axis `to`.
Result<Operand> move_axis(Lowering& in, Operand x, int64_t from, int64_t to);

// Ops on numbers only: bools become int32, and back.
Result<Operand> as_numbers(Lowering& in, Operand x);
// A tensor argument to be moved, not computed with: what was computed in float32 stays so, and constants keep their precision.
Result<Operand> payload(Lowering& in, std::string_view name);
// A value of torch type `from` as torch's `.to(to)` has it: floats truncate, small integers wrap around, bool is "not 0".
Result<Operand> convert(Lowering& in, Operand x, DType from, DType to);
// A tensor argument converted to the element type of result 0.
Result<Operand> tensor_as_result(Lowering& in, std::string_view name);

// Elementwise arithmetic with a size or a literal, in the type of x.
Result<Operand> add(Lowering& in, Operand x, Operand y);
Result<Operand> multiply(Lowering& in, Operand x, Operand y);
// The product of sizes [first, last).
Dim product(Lowering& in, const Shape& shape, size_t first, size_t last);

}  // namespace cortland::torch_ops
