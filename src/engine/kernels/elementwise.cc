// Functions of one element, and of two that are broadcast together.
#include <optional>

#include "engine/kernels/kernels.h"
#include "engine/kernels/loops.h"
#include "mil_ops/shape_rules.h"

namespace cortland::engine::kernels {
namespace {

using mil::Tensor;

class UnaryKernel final : public Kernel {
 public:
  UnaryKernel(simd::Unary function, float a, float b) : function_(function), a_(a), b_(b) {}

  Status run(KernelContext& c) override {
    const bool in_place = c.may_overwrite("x");
    const Tensor x = floats(c, "x");
    Tensor out = in_place ? x : Tensor::make(DType::F32, x.shape);
    unary(function_, x.data<float>(), out.mutable_data<float>(), x.elements(), a_, b_);
    return finish(c, std::move(out));
  }

 private:
  simd::Unary function_;
  float a_, b_;
};

std::unique_ptr<Kernel> unary_kernel(const Site& site, simd::Unary f, std::optional<double> a, std::optional<double> b) {
  if (!has_floats(site, "x") || !a || !b) return nullptr;
  return std::make_unique<UnaryKernel>(f, static_cast<float>(*a), static_cast<float>(*b));
}

template <simd::Unary F>
std::unique_ptr<Kernel> plain(const Site& site) {
  return unary_kernel(site, F, 0, 0);
}
template <simd::Unary F>
std::unique_ptr<Kernel> with_alpha(const Site& site) {
  return unary_kernel(site, F, number(site, "alpha"), 0);
}
template <simd::Unary F>
std::unique_ptr<Kernel> with_alpha_beta(const Site& site) {
  return unary_kernel(site, F, number(site, "alpha"), number(site, "beta"));
}
// epsilon has an element type of its own, or else that of x, and is rounded to it.
template <simd::Unary F>
std::unique_ptr<Kernel> with_epsilon(const Site& site) {
  auto epsilon = number(site, "epsilon");
  if (epsilon && !site.has("epsilon") && site.type("x").dtype() == DType::F16)
    epsilon = double{f16_to_f32(f32_to_f16(static_cast<float>(*epsilon)))};
  return unary_kernel(site, F, epsilon, 0);
}

class BinaryKernel final : public Kernel {
 public:
  explicit BinaryKernel(simd::Binary function) : function_(function) {}

  Status run(KernelContext& c) override {
    const bool into_x = c.may_overwrite("x"), into_y = c.may_overwrite("y");
    const Tensor x = floats(c, "x"), y = floats(c, "y");
    auto shape = mil::broadcast(x.shape, y.shape);
    if (!shape.ok()) return run_reference(c, {});
    TRY_DO(mil_ops::check_sizes(c, *shape));
    Broadcast both;
    if (!make_broadcast(x.shape, y.shape, *shape, both)) return run_reference(c, {});
    Tensor out = into_x && x.shape == *shape ? x : into_y && y.shape == *shape ? y : Tensor::make(DType::F32, std::move(*shape));
    binary(function_, x.data<float>(), y.data<float>(), out.mutable_data<float>(), both);
    return finish(c, std::move(out));
  }

 private:
  simd::Binary function_;
};

template <simd::Binary F>
std::unique_ptr<Kernel> two(const Site& site) {
  if (!has_floats(site, "x") || !has_floats(site, "y")) return nullptr;
  return std::make_unique<BinaryKernel>(F);
}

using enum simd::Unary;
using simd::Binary;

std::unique_ptr<Kernel> make_gelu(const Site& site) {
  if (site.has("mode") && !site.is_constant("mode")) return nullptr;
  const std::string mode = site.str("mode");
  if (mode == "TANH_APPROXIMATION") return plain<GeluTanh>(site);
  if (mode == "SIGMOID_APPROXIMATION") return plain<GeluSigmoid>(site);
  return plain<Gelu>(site);
}

// Powers that models use; others are left to the C library.
std::unique_ptr<Kernel> make_pow(const Site& site) {
  if (!has_floats(site, "x") || !site.is_constant("y") || site.tensor("y").elements() != 1) return nullptr;
  if (site.tensor("y").rank() > site.type("x").rank()) return nullptr;  // the result has another shape than x
  return *number(site, "y") == 2 ? plain<Square>(site) : nullptr;
}

constexpr KernelRow kRows[] = {
    {"abs", plain<Abs>},
    {"add", two<Binary::Add>},
    {"clamped_relu", with_alpha_beta<ClampedRelu>},
    {"clip", with_alpha_beta<Clip>},
    {"elu", with_alpha<Elu>},
    {"erf", plain<Erf>},
    {"exp", plain<Exp>},
    {"gelu", make_gelu},
    {"inverse", with_epsilon<Inverse>},
    {"leaky_relu", with_alpha<LeakyRelu>},
    {"linear_activation", with_alpha_beta<Linear>},
    {"log", with_epsilon<Log>},
    {"maximum", two<Binary::Maximum>},
    {"minimum", two<Binary::Minimum>},
    {"mul", two<Binary::Mul>},
    {"pow", make_pow},
    {"real_div", two<Binary::Div>},
    {"relu", plain<Relu>},
    {"relu6", plain<Relu6>},
    {"rsqrt", with_epsilon<Rsqrt>},
    {"scaled_tanh", with_alpha_beta<ScaledTanh>},
    {"sigmoid", plain<Sigmoid>},
    {"sigmoid_hard", with_alpha_beta<HardSigmoid>},
    {"silu", plain<Silu>},
    {"softplus", plain<Softplus>},
    {"softsign", plain<Softsign>},
    {"sqrt", plain<Sqrt>},
    {"square", plain<Square>},
    {"sub", two<Binary::Sub>},
    {"tanh", plain<Tanh>},
    {"threshold", with_alpha<Threshold>},
    {"thresholded_relu", with_alpha<ThresholdedRelu>},
};

}  // namespace

constinit const std::span<const KernelRow> kElementwise = kRows;

}  // namespace cortland::engine::kernels
