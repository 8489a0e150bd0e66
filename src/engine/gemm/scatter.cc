// scatter that replaces rows, as decoders write their caches: in place where nobody else reads the old values.
#include <algorithm>

#include "engine/gemm/kernels.h"
#include "mil_ops/indexing.h"

namespace cortland::engine::gemm {
namespace {

using mil::Tensor;

class ScatterKernel final : public Kernel {
 public:
  explicit ScatterKernel(int64_t axis) : axis_(axis) {}

  Status run(KernelContext& c) override {
    const Tensor &data = c.tensor("data"), &updates = c.tensor("updates"), &positions = c.tensor("indices");
    const int64_t axis = axis_ < 0 ? axis_ + data.rank() : axis_;
    if (axis < 0 || axis >= data.rank() || positions.rank() != 1 || data.dtype != updates.dtype) return run_reference(c, {});
    std::vector<int64_t> expected = data.shape;
    expected[static_cast<size_t>(axis)] = positions.dim(0);
    if (updates.shape != expected) return run_reference(c, {});
    TRY(const auto indices, mil_ops::checked_indices(c, "indices", data.dim(axis)));
    const int64_t outer = mil_ops::product(data.shape, 0, static_cast<size_t>(axis));
    const auto inner = static_cast<size_t>(
        byte_size(data.dtype, mil_ops::product(data.shape, static_cast<size_t>(axis) + 1, data.shape.size())));
    const bool in_place = c.may_overwrite("data");
    Tensor out = in_place ? data : Tensor::make(data.dtype, data.shape);
    if (!in_place) std::copy_n(data.data(), data.bytes(), out.mutable_data());
    const std::byte* from = updates.data();
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t i : indices) {
        std::copy_n(from, inner, out.mutable_data() + static_cast<size_t>(o * data.dim(axis) + i) * inner);
        from += inner;
      }
    c.set_output(0, std::move(out));
    return {};
  }

 private:
  int64_t axis_;
};

}  // namespace

std::unique_ptr<Kernel> make_scatter(const Site& site) {
  for (const char* option : {"axis", "mode"})
    if (site.has(option) && !site.is_constant(option)) return nullptr;
  if (site.str("mode") != "update" || bit_width(site.type("data").dtype()) % 8 != 0) return nullptr;
  return std::make_unique<ScatterKernel>(site.has("axis") ? site.ints("axis")[0] : 0);
}

}  // namespace cortland::engine::gemm
