// Arithmetic on complex values whose real and imaginary parts are graph values of their own. Free functions over Steps.
#pragma once

#include "torch_ops/steps.h"

namespace cortland::torch_passes {

using torch_ops::Steps;

// A tensor or a number; None is zero, and stays so through sums and products.
using Part = torch::Arg;
struct Parts {
  Part re, im;
};

Part add(Steps& s, const Part& a, const Part& b);
Part subtract(Steps& s, const Part& a, const Part& b);
Part multiply(Steps& s, const Part& a, const Part& b);
Part divide(Steps& s, const Part& a, const Part& b);

Parts add(Steps& s, const Parts& a, const Parts& b);
Parts subtract(Steps& s, const Parts& a, const Parts& b);
Parts multiply(Steps& s, const Parts& a, const Parts& b);
Parts divide(Steps& s, const Parts& a, const Parts& b);
Parts conjugate(Steps& s, const Parts& a);
Parts exponential(Steps& s, const Parts& a);
Parts logarithm(Steps& s, const Parts& a);
Parts square_root(Steps& s, const Parts& a);  // the one to the right of the imaginary axis
Part squared_length(Steps& s, const Parts& a);
Part length(Steps& s, const Parts& a);
Part angle(Steps& s, const Parts& a);
// length * (cos angle + i sin angle)
Parts polar(Steps& s, const Part& length, const Part& angle);

// The value of a part as a tensor of this type, broadcast to its shape.
Steps::V tensor_of(Steps& s, const Part& part, const TensorType& type);

}  // namespace cortland::torch_passes
