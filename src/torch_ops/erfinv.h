// What erfinv is computed from, in Core ML and on CPU kernels.
#pragma once

#include <array>

namespace cortland::torch_ops {

// M. Giles, "Approximating the erfinv function" (2011), single precision: erfinv(x) = x p(w), w = -log(1 - x^2), in two
// branches; highest power first. In w - 2.5 below 5, in sqrt(w) - 3 from there on.
inline constexpr std::array<double, 9> kInverseErrorCentre = {2.81022636e-08,  3.43273939e-07, -3.5233877e-06,
                                                              -4.39150654e-06, 0.00021858087,  -0.00125372503,
                                                              -0.00417768164,  0.246640727,    1.50140941};
inline constexpr std::array<double, 9> kInverseErrorTail = {-0.000200214257, 0.000100950558, 0.00134934322,
                                                            -0.00367342844,  0.00573950773,  -0.0076224613,
                                                            0.00943887047,   1.00167406,     2.83297682};

}  // namespace cortland::torch_ops
