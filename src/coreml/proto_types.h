// MIL types between the IR and the protobuf messages. Free functions.
#pragma once

#include "mil.pb.h"
#include "mil/program.h"
#include "model.pb.h"

namespace cortland::coreml {

namespace spec = CoreML::Specification;
namespace milspec = CoreML::Specification::MILSpec;

// Stands in a type that was just read for a size the file leaves open.
inline constexpr Dim open_dim() {
  Dim d;
  d.code = INT64_MIN;
  return d;
}

void encode_type(const mil::Type& type, milspec::ValueType* out);
void encode_tensor_type(const TensorType& type, milspec::TensorType* out);

// Sizes the file leaves open are open_dim().
Result<mil::Type> decode_type(const milspec::ValueType& in);

// Gives every open size of `type` a symbol of its own.
void close_dims(mil::Type& type, DimTable& dims);

}  // namespace cortland::coreml
