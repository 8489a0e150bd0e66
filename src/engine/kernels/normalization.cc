// softmax and the normalisations with constant parameters.
#include <algorithm>
#include <cmath>
#include <optional>

#include "engine/kernels/kernels.h"
#include "engine/kernels/loops.h"

namespace cortland::engine::kernels {
namespace {

using mil::Tensor;

class SoftmaxKernel final : public Kernel {
 public:
  explicit SoftmaxKernel(size_t axis) : axis_(axis) {}

  Status run(KernelContext& c) override {
    const Tensor x = floats(c, "x");
    if (x.shape.size() <= axis_) return run_reference(c, {});
    Tensor out = Tensor::make(DType::F32, x.shape);
    softmax(x.data<float>(), out.mutable_data<float>(), split_at(x.shape, axis_, axis_ + 1));
    return finish(c, std::move(out));
  }

 private:
  size_t axis_;
};

class LayerNormKernel final : public Kernel {
 public:
  LayerNormKernel(size_t first_axis, std::vector<float> gamma, std::vector<float> beta, double epsilon)
      : first_axis_(first_axis), gamma_(std::move(gamma)), beta_(std::move(beta)), epsilon_(epsilon) {}

  Status run(KernelContext& c) override {
    const Tensor x = floats(c, "x");
    const Split s = split_at(x.shape, first_axis_, x.shape.size());
    const auto n = static_cast<size_t>(s.size);
    if (n == 0 || (!gamma_.empty() && gamma_.size() != n) || (!beta_.empty() && beta_.size() != n)) return run_reference(c, {});
    if (gamma_.empty()) gamma_.assign(n, 1);
    if (beta_.empty()) beta_.assign(n, 0);
    Tensor out = Tensor::make(DType::F32, x.shape);
    layer_norm(x.data<float>(), out.mutable_data<float>(), s.outer, s.size, gamma_.data(), beta_.data(), epsilon_);
    return finish(c, std::move(out));
  }

 private:
  size_t first_axis_;
  std::vector<float> gamma_, beta_;
  double epsilon_;
};

// Where the normalised axes begin, when they are the last ones.
std::optional<size_t> first_of_last_axes(const Site& site) {
  const int64_t rank = site.type("x").rank();
  if (!site.has("axes")) return 0;
  if (!site.is_constant("axes")) return std::nullopt;
  std::vector<int64_t> axes = site.ints("axes");
  for (int64_t& a : axes) a += a < 0 ? rank : 0;
  std::sort(axes.begin(), axes.end());
  for (size_t i = 0; i < axes.size(); ++i)
    if (axes[i] != rank - static_cast<int64_t>(axes.size() - i)) return std::nullopt;
  return static_cast<size_t>(rank) - axes.size();
}

// y = (x - mean) * scale + shift for each channel; without a mean and a scale of its own, each plane has its statistics.
class ChannelNormKernel final : public Kernel {
 public:
  ChannelNormKernel(std::vector<float> mean, std::vector<float> scale, std::vector<float> shift,
                    std::optional<double> epsilon)
      : mean_(std::move(mean)), scale_(std::move(scale)), shift_(std::move(shift)), epsilon_(epsilon) {}

  Status run(KernelContext& c) override {
    const Tensor x = floats(c, "x");
    if (x.rank() < 3 || x.dim(1) != static_cast<int64_t>(scale_.size())) return run_reference(c, {});
    const Split s = split_at(x.shape, 1, 2);
    Tensor out = Tensor::make(DType::F32, x.shape);
    const float* from = x.data<float>();
    float* to = out.mutable_data<float>();
    if (x.elements() == 0) return finish(c, std::move(out));
    if (epsilon_)
      instance_norm(from, to, s.outer, s.size, s.inner, scale_.data(), shift_.data(), *epsilon_);
    else
      scale_channels(from, to, s.outer, s.size, s.inner, mean_.data(), scale_.data(), shift_.data());
    return finish(c, std::move(out));
  }

 private:
  std::vector<float> mean_, scale_, shift_;
  std::optional<double> epsilon_;
};

std::unique_ptr<Kernel> make_softmax(const Site& site) {
  const auto at = axis(site, "axis", site.type("x").rank());
  return has_floats(site, "x") && at ? std::make_unique<SoftmaxKernel>(*at) : nullptr;
}

std::unique_ptr<Kernel> make_layer_norm(const Site& site) {
  if (!has_floats(site, "x")) return nullptr;
  const auto first = first_of_last_axes(site);
  const auto epsilon = number(site, "epsilon");
  auto gamma = vector(site, "gamma", 0, 1), beta = vector(site, "beta", 0, 0);
  if (!first || !epsilon || !gamma || !beta) return nullptr;
  return std::make_unique<LayerNormKernel>(*first, std::move(*gamma), std::move(*beta), *epsilon);
}

std::unique_ptr<Kernel> make_batch_norm(const Site& site) {
  if (!has_floats(site, "x")) return nullptr;
  auto mean = vector(site, "mean", 0, 0);
  const auto variance = vector(site, "variance", 0, 0);
  const auto epsilon = number(site, "epsilon");
  if (!mean || !variance || !epsilon || mean->size() != variance->size()) return nullptr;
  const auto channels = static_cast<int64_t>(mean->size());
  auto scale = vector(site, "gamma", channels, 1), shift = vector(site, "beta", channels, 0);
  if (!scale || !shift || scale->size() != mean->size() || shift->size() != mean->size()) return nullptr;
  for (size_t i = 0; i < mean->size(); ++i)
    (*scale)[i] = static_cast<float>(double{(*scale)[i]} / std::sqrt(double{(*variance)[i]} + *epsilon));
  return std::make_unique<ChannelNormKernel>(std::move(*mean), std::move(*scale), std::move(*shift), std::nullopt);
}

std::unique_ptr<Kernel> make_instance_norm(const Site& site) {
  if (!has_floats(site, "x") || site.type("x").rank() < 3 || !site.type("x").shape()[1].is_constant()) return nullptr;
  const int64_t channels = site.type("x").shape()[1].constant();
  auto scale = vector(site, "gamma", channels, 1), shift = vector(site, "beta", channels, 0);
  const auto epsilon = number(site, "epsilon");
  if (!scale || !shift || !epsilon || scale->size() != shift->size()) return nullptr;
  return std::make_unique<ChannelNormKernel>(std::vector<float>(), std::move(*scale), std::move(*shift), epsilon);
}

constexpr KernelRow kRows[] = {
    {"batch_norm", make_batch_norm},
    {"instance_norm", make_instance_norm},
    {"layer_norm", make_layer_norm},
    {"softmax", make_softmax},
};

}  // namespace

constinit const std::span<const KernelRow> kNormalizations = kRows;

}  // namespace cortland::engine::kernels
