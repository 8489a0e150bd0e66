// What erfc is computed from, in Core ML and on CPU kernels.
#pragma once

#include <array>

namespace cortland::torch_ops {

// p of erfc(x) = t exp(-x^2 + p(t)), t = 1 / (1 + x / 2), x >= 0; highest power first.
inline constexpr std::array<double, 10> kErfcTail = {0.17087277,  -0.82215223, 1.48851587, -1.13520398, 0.27886807,
                                                     -0.18628806, 0.09678418,  0.37409196, 1.00002368,  -1.26551223};

}  // namespace cortland::torch_ops
