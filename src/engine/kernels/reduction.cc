// Reductions of floats over axes that are neighbours, which nearly all are.
#include <cmath>
#include <optional>

#include "engine/kernels/kernels.h"
#include "engine/kernels/loops.h"

namespace cortland::engine::kernels {
namespace {

using mil::EvalContext;
using mil::Tensor;

enum class Finish { None, Mean, Root };

class ReductionKernel final : public Kernel {
 public:
  ReductionKernel(simd::Fold fold, Finish finish, std::vector<bool> reduced, bool keep_dims)
      : fold_(fold), finish_(finish), reduced_(std::move(reduced)), keep_dims_(keep_dims) {}

  Status run(KernelContext& c) override {
    const Tensor x = floats(c, "x");
    const auto s = x.shape.size() == reduced_.size() ? split(x.shape) : std::nullopt;
    if (!s || x.elements() == 0) return run_reference(c, {});
    std::vector<int64_t> shape;
    for (size_t i = 0; i < reduced_.size(); ++i) {
      if (!reduced_[i])
        shape.push_back(x.shape[i]);
      else if (keep_dims_)
        shape.push_back(1);
    }
    Tensor out = Tensor::make(DType::F32, std::move(shape));
    float* y = out.mutable_data<float>();
    reduce(fold_, x.data<float>(), y, *s);
    const int64_t n = s->outer * s->inner;
    if (finish_ == Finish::Mean)
      for (int64_t i = 0; i < n; ++i) y[i] /= static_cast<float>(s->size);
    else if (finish_ == Finish::Root)
      for (int64_t i = 0; i < n; ++i) y[i] = std::sqrt(y[i]);
    return finish(c, std::move(out));
  }

 private:
  // The reduced axes as one, axes of size 1 left aside; nothing when others stand between them.
  std::optional<Split> split(const std::vector<int64_t>& shape) const {
    Split s;
    bool seen = false, over = false;
    for (size_t i = 0; i < shape.size(); ++i) {
      if (shape[i] == 1) continue;
      if (reduced_[i] && over) return std::nullopt;
      seen = seen || reduced_[i];
      over = over || (seen && !reduced_[i]);
      (reduced_[i] ? s.size : seen ? s.inner : s.outer) *= shape[i];
    }
    return s;
  }

  simd::Fold fold_;
  Finish finish_;
  std::vector<bool> reduced_;
  bool keep_dims_;
};

template <simd::Fold F, Finish End = Finish::None>
std::unique_ptr<Kernel> reduction(const Site& site) {
  const int64_t rank = site.type("x").rank();
  const auto keep_dims = number(site, "keep_dims");
  if (!has_floats(site, "x") || !keep_dims || (site.has("axes") && !site.is_constant("axes"))) return nullptr;
  std::vector<bool> reduced(static_cast<size_t>(rank), !site.has("axes"));
  if (site.has("axes"))
    for (int64_t a : site.ints("axes")) {
      if (a < -rank || a >= rank) return nullptr;
      reduced[static_cast<size_t>(a < 0 ? a + rank : a)] = true;
    }
  return std::make_unique<ReductionKernel>(F, End, std::move(reduced), *keep_dims != 0);
}

using simd::Fold;

constexpr KernelRow kRows[] = {
    {"reduce_l1_norm", reduction<Fold::SumAbs>},       {"reduce_l2_norm", reduction<Fold::SumSquare, Finish::Root>},
    {"reduce_max", reduction<Fold::Maximum>},          {"reduce_mean", reduction<Fold::Sum, Finish::Mean>},
    {"reduce_min", reduction<Fold::Minimum>},          {"reduce_sum", reduction<Fold::Sum>},
    {"reduce_sum_square", reduction<Fold::SumSquare>},
};

}  // namespace

constinit const std::span<const KernelRow> kReductions = kRows;

}  // namespace cortland::engine::kernels
