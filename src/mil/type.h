// MIL value types: tensors, lists of tensors, states and (as results of `classify`) dictionaries.
#pragma once

#include "tensor/type.h"

namespace cortland::mil {

struct Type {
  enum class Kind : uint8_t { Tensor, List, State, Dictionary } kind = Kind::Tensor;
  TensorType tensor;         // of the elements, for a List; of the content, for a State; of the keys, for a Dictionary
  Dim length;                // List only

  Type() = default;
  Type(TensorType t) : tensor(std::move(t)) {}  // NOLINT: tensors are the common case
  Type(DType dtype, Shape shape) : tensor{dtype, std::move(shape)} {}
  static Type state(TensorType t) {
    Type type(std::move(t));
    type.kind = Kind::State;
    return type;
  }
  static Type list(TensorType element, Dim length) {
    Type type(std::move(element));
    type.kind = Kind::List;
    type.length = length;
    return type;
  }

  DType dtype() const { return tensor.dtype; }
  const Shape& shape() const { return tensor.shape; }
  int rank() const { return tensor.rank(); }
  friend bool operator==(const Type&, const Type&) = default;
};

std::string str(const Type& type, const DimTable& dims);

}  // namespace cortland::mil
