// Windows of signal processing and the frequencies of a Fourier transform: constants, once their lengths are known.
#include "torch_ops/decompositions.h"
#include "torch_ops/op.h"

namespace cortland::torch_ops {
namespace {

#define OPTIONS "*, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor"

constexpr TorchOp kTable[] = {
    {.schema = "aten::bartlett_window(int window_length, " OPTIONS,
     .decompose = decompositions::bartlett_window,
     .samples = "8 -> f32[8]; 1 -> f32[1]"},
    {.schema = "aten::bartlett_window.periodic(int window_length, bool periodic, " OPTIONS,
     .decompose = decompositions::bartlett_window,
     .samples = "8 False -> f32[8]; 8 True -> f32[8]"},
    {.schema = "aten::blackman_window(int window_length, " OPTIONS,
     .decompose = decompositions::blackman_window,
     .samples = "8 -> f32[8]; 1 -> f32[1]"},
    {.schema = "aten::blackman_window.periodic(int window_length, bool periodic, " OPTIONS,
     .decompose = decompositions::blackman_window,
     .samples = "8 False -> f32[8]; 8 True -> f32[8]"},
    {.schema = "aten::hamming_window(int window_length, " OPTIONS,
     .decompose = decompositions::hamming_window,
     .samples = "8 -> f32[8]; 1 -> f32[1]"},
    {.schema = "aten::hamming_window.periodic(int window_length, bool periodic, " OPTIONS,
     .decompose = decompositions::hamming_window,
     .samples = "8 False -> f32[8]; 8 True -> f32[8]"},
    {.schema = "aten::hann_window(int window_length, " OPTIONS,
     .decompose = decompositions::hann_window,
     .samples = "8 -> f32[8]; 1 -> f32[1]"},
    {.schema = "aten::hann_window.periodic(int window_length, bool periodic, " OPTIONS,
     .decompose = decompositions::hann_window,
     .samples = "8 False -> f32[8]; 8 True -> f32[8]"},
    {.schema = "aten::kaiser_window(int window_length, " OPTIONS,
     .decompose = decompositions::kaiser_window,
     .samples = "8 -> f32[8]; 1 -> f32[1]"},
    {.schema = "aten::kaiser_window.periodic(int window_length, bool periodic, " OPTIONS,
     .decompose = decompositions::kaiser_window,
     .samples = "8 False -> f32[8]; 8 True -> f32[8]"},
    {.schema = "aten::hamming_window.periodic_alpha(int window_length, bool periodic, float alpha, " OPTIONS,
     .decompose = decompositions::hamming_window,
     .samples = "8 True 0.6 -> f32[8]"},
    {.schema =
         "aten::hamming_window.periodic_alpha_beta(int window_length, bool periodic, float alpha, float beta, " OPTIONS,
     .decompose = decompositions::hamming_window,
     .samples = "8 False 0.6 0.3 -> f32[8]"},
    {.schema = "aten::kaiser_window.beta(int window_length, bool periodic, float beta, " OPTIONS,
     .decompose = decompositions::kaiser_window,
     .samples = "8 True 5.5 -> f32[8]"},
    {.schema = "aten::fft_fftfreq(int n, float d=1.0, " OPTIONS,
     .decompose = decompositions::fftfreq,
     .samples = "7 -> f32[7]; 8 0.5 -> f32[8]"},
    {.schema = "aten::fft_rfftfreq(int n, float d=1.0, " OPTIONS,
     .decompose = decompositions::rfftfreq,
     .samples = "7 -> f32[4]; 8 0.5 -> f32[5]"},
};

#undef OPTIONS

}  // namespace

extern const std::span<const TorchOp> kWindowOps;
const std::span<const TorchOp> kWindowOps = kTable;

}  // namespace cortland::torch_ops
