// Reading an op's arguments the same way in `infer` (symbolic shapes) and in `eval` (concrete ones), so one shape rule
// serves both: `infer` answers with it, `eval` refuses operands that break it.
#pragma once

#include <fmt/format.h>

#include <string_view>
#include <vector>

#include "mil_ops/shape_rules.h"

namespace cortland::mil_ops {

inline Shape shape_of_input(const mil::InferContext& c, std::string_view input) { return c.shape(input); }
inline Shape shape_of_input(const mil::EvalContext& c, std::string_view input) { return shape_of(c.tensor(input).shape); }

// Whether an operand's value can be read: always at run time, while inferring only that of a plain constant.
inline bool is_known(const mil::InferContext& c, std::string_view input) { return c.is_constant(input); }
inline bool is_known(const mil::EvalContext&, std::string_view) { return true; }

// Whether two sizes can be the same number.
inline bool compatible(const DimTable& dims, Dim a, Dim b) {
  if (a == b) return true;
  const DimRange x = dims.range(a), y = dims.range(b);
  return x.low <= y.high && y.low <= x.high;
}

inline bool compatible(const DimTable& dims, const Shape& a, const Shape& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (!compatible(dims, a[i], b[i])) return false;
  return true;
}

inline std::string describe(const DimTable& dims, const Shape& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) out += (i ? ", " : "") + dims.str(shape[i]);
  return out + "]";
}

template <class Context>
Status expect_rank(const Context& c, std::string_view input, int low, int high) {
  const int rank = static_cast<int>(shape_of_input(c, input).size());
  if (rank >= low && rank <= high) return {};
  return c.error(low == high ? fmt::format("'{}' has rank {}, expected {}", input, rank, low)
                             : fmt::format("'{}' has rank {}, expected {} to {}", input, rank, low, high));
}

inline int64_t product(const std::vector<int64_t>& sizes, size_t first, size_t last) {
  int64_t n = 1;
  for (size_t i = first; i < last; ++i) n *= sizes[i];
  return n;
}

}  // namespace cortland::mil_ops
