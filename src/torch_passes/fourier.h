// Discrete Fourier transforms as products with constant tables. Sizes along the transformed axes are known.
#pragma once

#include "torch_passes/complex_math.h"

namespace cortland::torch_passes {

// sum over t of x[t] exp(-2 pi i t k / n) along `dim`, for k < outputs; with `inverse` the exponent is positive. n is the
// size of the axis. All results are multiplied by `scale`.
Parts fourier(Steps& s, const Parts& x, int dim, int64_t outputs, bool inverse, double scale);
// The n real values whose transform starts with x, n / 2 + 1 values: the rest of it is known by symmetry.
Steps::V real_fourier(Steps& s, const Parts& x, int dim, int64_t n, double scale);

// The operators: aten.fft_*, aten._fft_*, aten.stft.default, aten.istft.default.
bool is_fourier(std::string_view target);
// `x` is the first argument. The result is real when its imaginary part is None.
Result<Parts> transform(Steps& s, const Parts& x);

}  // namespace cortland::torch_passes
