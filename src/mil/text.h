// A program as text, in the manner of Core ML's own listings, but with constants where they are used:
//   func main<ios18>(tensor<fp16, [1, s0]> x) [s0 = 1..64] {
//     tensor<fp16, [1, s0]> y = leaky_relu(x = x, alpha = fp16(0.01))[name = string("y")];
//   } -> (y);
// For people, goldens and diffs: names are those a file would have, and sizes keep their symbols.
#pragma once

#include <string>

#include "mil/program.h"

namespace cortland::mil {

struct PrintOptions {
  int64_t max_elements = 16;  // of a constant; larger ones appear by size, as BLOBFILE(...)
};

std::string print(const Program& program, const PrintOptions& options = {});
std::string print(const Program& program, const Function& function, const PrintOptions& options = {});
std::string print(const Const& value, const DimTable& dims, const PrintOptions& options = {});
// "tensor<fp16, [1, s0]>"; a tensor of rank 0 is its element type alone, "int32".
std::string print(const Type& type, const DimTable& dims);

}  // namespace cortland::mil
