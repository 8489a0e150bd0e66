#include "tensor/type.h"

#include <fmt/format.h>

namespace cortland {

std::optional<int64_t> TensorType::elements() const {
  int64_t n = 1;
  for (Dim d : shape) {
    if (!d.is_constant()) return std::nullopt;
    if (__builtin_mul_overflow(n, d.constant(), &n) || n > (int64_t{1} << 62)) return std::nullopt;
  }
  return n;
}

std::vector<int64_t> sizes(const Shape& shape) {
  std::vector<int64_t> out;
  for (Dim d : shape) {
    CHECK(d.is_constant());
    out.push_back(d.constant());
  }
  return out;
}

std::string str(const TensorType& type, const DimTable& dims) {
  std::string out(mil_name(type.dtype));
  out += '[';
  for (size_t i = 0; i < type.shape.size(); ++i) out += fmt::format("{}{}", i ? ", " : "", dims.str(type.shape[i]));
  return out + ']';
}

}  // namespace cortland
