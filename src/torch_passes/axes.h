// What the arguments of a node say of axes. Free functions over one node; any thread.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "torch/graph.h"

namespace cortland::torch_passes {

// An argument by its name in the schema, also where the edge dialect leaves names out; or its default. Null where there is
// neither.
const torch::Arg* argument(const torch::Node& node, std::string_view name);

// Gives an argument of the schema another value.
void set_argument(torch::Node& node, std::string_view name, torch::Arg value);

// The numbers of a list, or the one number; what is neither is left out.
std::vector<int64_t> integers(const torch::Arg* a);

// Which axis of the source each axis of the result is, for permute, transpose, movedim and their other spellings; empty when
// the arguments are not plain numbers.
std::vector<int64_t> permutation(const torch::Node& node, int64_t rank);

}  // namespace cortland::torch_passes
