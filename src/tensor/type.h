// Tensor types: an element type and a shape whose sizes may be symbolic.
#pragma once

#include <optional>
#include <string>

#include "tensor/dim.h"
#include "tensor/dtype.h"

namespace cortland {

struct TensorType {
  DType dtype = DType::Unknown;
  Shape shape;

  int rank() const { return static_cast<int>(shape.size()); }
  bool is_static() const {
    for (Dim d : shape)
      if (!d.is_constant()) return false;
    return true;
  }
  // Number of elements when static and below 2^62.
  std::optional<int64_t> elements() const;
  friend bool operator==(const TensorType&, const TensorType&) = default;
};

// Sizes of a static shape. The caller has checked is_static().
std::vector<int64_t> sizes(const Shape& shape);
inline Shape shape_of(const std::vector<int64_t>& sizes) { return {sizes.begin(), sizes.end()}; }

// "fp16[1, s0, 4]" with MIL's names.
std::string str(const TensorType& type, const DimTable& dims);

}  // namespace cortland
