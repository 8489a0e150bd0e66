#include "engine/gemm/recurrent.h"

#include <algorithm>

#include "engine/simd/functions.h"

namespace cortland::engine::gemm {

using mil::Tensor;

void apply(Activation f, float* values, int64_t count) {
  const auto loop = [&](simd::Unary u) { simd::functions().unary[static_cast<size_t>(u)](values, values, count, 0, 0); };
  switch (f) {
    case Activation::Tanh:
      return loop(simd::Unary::Tanh);
    case Activation::Sigmoid:
      return loop(simd::Unary::Sigmoid);
    case Activation::Relu:
      return loop(simd::Unary::Relu);
    case Activation::HardSigmoid:
    case Activation::Linear:
      return mil_ops::activate(f, values, count);
  }
}

std::optional<Activation> activation(const Site& site, std::string_view input) {
  if (site.has(input) && !site.is_constant(input)) return std::nullopt;
  struct Text {
    const Site& site;
    std::string str(std::string_view name) const { return site.str(name); }
    Diagnostic error(std::string why) const { return diag(DiagKind::BadInput, std::move(why)); }
  };
  const auto f = mil_ops::activation_of(Text{site}, input);
  return f.ok() ? std::optional(*f) : std::nullopt;
}

bool has_constant_weights(const Site& site) {
  for (const mil::Input& input : site.op.inputs) {
    const bool computed = input.name == "x" || input.name.starts_with("initial_");
    if (computed && !is_float(site.type(input.name).dtype())) return false;
    if (!computed && site.has(input.name) && !site.is_constant(input.name)) return false;
  }
  for (const char* weight : {"weight_ih", "weight_hh"}) {
    const Tensor& t = site.tensor(weight);
    if (t.rank() != 2 || t.elements() == 0 || !(t.dtype == DType::F16 || t.dtype == DType::F32)) return false;
  }
  return true;
}

std::vector<float> vector(const Site& site, std::string_view input) {
  return site.op.slot(input) >= 0 && site.has(input) ? site.tensor(input).floats() : std::vector<float>();
}

PackedMatrix pack_weight(const Site& site, std::string_view input, int64_t first, int64_t last) {
  const Tensor& weight = site.tensor(input);
  const int64_t k = weight.dim(1);
  std::byte* start = weight.storage.get() + byte_size(weight.dtype, first * k);
  const Tensor rows{weight.dtype, {last - first, k}, std::shared_ptr<std::byte>(weight.storage, start)};
  return PackedMatrix::floats(rows, MatrixLayout::of(rows.shape, true));
}

}  // namespace cortland::engine::gemm
