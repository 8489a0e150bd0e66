// Windows of signal processing and the frequencies of a Fourier transform: tables.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "torch_ops/decompositions.h"
#include "torch_ops/steps.h"

namespace cortland::torch_ops::decompositions {

namespace {

constexpr int64_t kMaxTable = int64_t{1} << 22;
constexpr double kTurn = 2 * std::numbers::pi;

Status table(Decomposition& d, const std::vector<double>& values) {
  const auto count = static_cast<int64_t>(values.size());
  return Steps(d).give(d.constant(Weight::of<double>(DType::F64, {count}, values).cast(d.result_type().dtype), "window"));
}

// `shape` gives the value at a place between 0 and 1. A periodic window is one element of the next period short.
template <class F>
Status window(Decomposition& d, const F& shape) {
  const auto length = d.integer("window_length");
  const bool periodic = !d.has("periodic") || d.boolean("periodic");
  if (!length || *length < 1 || *length > kMaxTable) return d.reject("the length must be a number");
  const int64_t period = periodic ? *length : *length - 1;
  std::vector<double> values;
  for (int64_t i = 0; i < *length; ++i)
    values.push_back(*length == 1 ? 1 : shape(static_cast<double>(i) / static_cast<double>(period)));
  return table(d, values);
}

double number_or(Decomposition& d, std::string_view name, double fallback) { return d.number(name).value_or(fallback); }

// The modified Bessel function of order 0, by its series.
double i0(double x) {
  double sum = 1, term = 1;
  for (int k = 1; k < 1000 && term > 1e-18 * sum; ++k) {
    const double half = x / (2 * k);
    term *= half * half;
    sum += term;
  }
  return sum;
}

Status frequencies(Decomposition& d, bool real) {
  const auto n = d.integer("n");
  const double spacing = number_or(d, "d", 1);
  if (!n || *n < 1 || *n > kMaxTable || spacing == 0) return d.reject("the length must be a number");
  std::vector<double> values;
  for (int64_t i = 0; i < (real ? *n / 2 + 1 : *n); ++i)
    values.push_back(static_cast<double>(real || i < (*n + 1) / 2 ? i : i - *n) / (static_cast<double>(*n) * spacing));
  return table(d, values);
}

}  // namespace

Status hann_window(Decomposition& d) {
  return window(d, [](double at) { return 0.5 - 0.5 * std::cos(kTurn * at); });
}

Status hamming_window(Decomposition& d) {
  const double alpha = number_or(d, "alpha", 0.54), beta = number_or(d, "beta", 0.46);
  return window(d, [&](double at) { return alpha - beta * std::cos(kTurn * at); });
}

Status blackman_window(Decomposition& d) {
  return window(d, [](double at) { return 0.42 - 0.5 * std::cos(kTurn * at) + 0.08 * std::cos(2 * kTurn * at); });
}

Status bartlett_window(Decomposition& d) {
  return window(d, [](double at) { return 1 - std::abs(2 * at - 1); });
}

Status kaiser_window(Decomposition& d) {
  const double beta = number_or(d, "beta", 12);
  if (std::abs(beta) > 500) return d.reject("beta is too large");
  const double whole = i0(beta);
  return window(d, [&](double at) { return i0(beta * std::sqrt(std::max(0.0, 1 - (2 * at - 1) * (2 * at - 1)))) / whole; });
}

Status fftfreq(Decomposition& d) { return frequencies(d, false); }
Status rfftfreq(Decomposition& d) { return frequencies(d, true); }

}  // namespace cortland::torch_ops::decompositions
