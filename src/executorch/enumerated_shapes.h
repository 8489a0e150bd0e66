// The compile spec that lists the shapes an input may take, made for the inputs of a program. Free functions; any thread.
#pragma once

#include <map>

#include "executorch/compile_specs.h"

namespace cortland::executorch {

// A tensor input of a program, as its export describes it.
struct InputShape {
  std::string name;
  std::vector<ShapeDim> shape;
};

// By input; the lists are matched by position: the first shapes go together, the second ones, and so on.
using ShapeLists = std::map<std::string, std::vector<std::vector<int64_t>>>;

// Groups the inputs by symbolic shape, in their order, as upstream does. Fails when the lists do not fit the inputs or each
// other.
Result<CompileSpec> enumerated_shapes_spec(std::span<const InputShape> inputs, const ShapeLists& lists);

}  // namespace cortland::executorch
