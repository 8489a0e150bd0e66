// The interface of a function as the model description states it: element types, default shapes, and how shapes may vary.
// Free functions.
#pragma once

#include "coreml/proto_types.h"

namespace cortland::coreml {

using ShapeList = std::vector<std::vector<int64_t>>;

// `enumerated` may be null; its first shape is the default.
Status encode_input(const std::string& name, const mil::Type& type, const ShapeList* enumerated, const DimTable& dims,
                    mil::Target target, spec::FeatureDescription* out);
Status encode_output(const std::string& name, const mil::Type& type, mil::Target target, spec::FeatureDescription* out);
Status encode_state(const std::string& name, const mil::Type& type, spec::FeatureDescription* out);

// What a description says of an input's shape. Both empty when the shape is fixed.
struct FlexibleShape {
  std::vector<DimRange> ranges;  // one a dimension
  ShapeList enumerated;
};
Result<FlexibleShape> decode_shape(const spec::FeatureDescription& in, const TensorType& type);

}  // namespace cortland::coreml
