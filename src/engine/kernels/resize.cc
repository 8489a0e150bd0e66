// Resizing of images, one axis after the other, in either layout.
#include <algorithm>
#include <cstring>

#include "engine/kernels/kernels.h"
#include "engine/kernels/loops.h"
#include "engine/threads.h"
#include "mil_ops/resizing.h"

namespace cortland::engine::kernels {
namespace {

using mil::Tensor;
using mil_ops::Resizing;
using mil_ops::Tap;
using Shape = std::vector<int64_t>;

// y [outer, taps, inner] from x [outer, size, inner].
void resize_axis(const float* x, float* y, const Split& s, const std::vector<Tap>& taps, bool linear) {
  const auto n = static_cast<int64_t>(taps.size());
  parallel_for(s.outer * n, std::max<int64_t>(1, kCheapGrain / s.inner), [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      const Tap& tap = taps[static_cast<size_t>(row % n)];
      const float* from = x + row / n * s.size * s.inner;
      const float *low = from + tap.low * s.inner, *high = from + tap.high * s.inner;
      float* to = y + row * s.inner;
      if (linear)
        for (int64_t i = 0; i < s.inner; ++i) to[i] = (1 - tap.fraction) * low[i] + tap.fraction * high[i];
      else if (s.inner == 1)
        *to = *low;
      else
        std::memcpy(to, low, static_cast<size_t>(s.inner) * sizeof(float));
    }
  });
}

class ResizeKernel final : public Kernel {
 public:
  using Read = Result<Resizing> (*)(const mil::EvalContext&);
  ResizeKernel(Read read, Manner manner) : read_(read), manner_(std::move(manner)) {}

  Status run(KernelContext& c) override {
    Tensor y = floats(c, "x");
    if (!known_ || y.shape != shape_) TRY_DO(read(c, y));
    const size_t rank = y.shape.size(), resized = resizing_.axes.size();
    for (size_t i = resized; i-- > 0;) {
      const auto axis = static_cast<int64_t>(rank - resized + i);
      const auto at =
          static_cast<size_t>(manner_.channels_last ? axis_channels_last(axis, static_cast<int64_t>(rank)) : axis);
      Shape shape = y.shape;
      shape[at] = static_cast<int64_t>(resizing_.axes[i].size());
      Tensor out = Tensor::make(DType::F32, std::move(shape));
      resize_axis(y.data<float>(), out.mutable_data<float>(), split_at(y.shape, at, at + 1), resizing_.axes[i],
                  resizing_.linear);
      y = std::move(out);
    }
    if (!manner_.post.empty()) apply_post_ops(manner_.post, c.addends, 0, y.mutable_data<float>(), y.elements());
    return finish(c, std::move(y));
  }

 private:
  Status read(const KernelContext& c, const Tensor& x) {
    known_ = false;
    std::vector<std::vector<mil::RuntimeValue>> arguments(c.arguments.begin(), c.arguments.end());
    // Only its shape counts.
    if (manner_.channels_last)
      arguments[static_cast<size_t>(c.def.slot("x"))][0].tensor = x.reshaped(channels_first(x.shape));
    TRY(resizing_, read_(mil::EvalContext(c.def, arguments, c.result_types)));
    shape_ = x.shape;
    known_ = true;
    return {};
  }

  Read read_;
  Manner manner_;
  bool known_ = false;
  Shape shape_;
  Resizing resizing_;
};

template <auto Read>
std::unique_ptr<Kernel> make(const Site& site) {
  if (!has_floats(site, "x")) return nullptr;
  for (const mil::Input& input : site.op.inputs)
    if (input.name != "x" && site.has(input.name) && !site.is_constant(input.name)) return nullptr;
  if (site.op.slot("resized_dims") >= 0 && number(site, "resized_dims") == 0) return nullptr;  // x itself
  return std::make_unique<ResizeKernel>(Read, site.manner);
}

constexpr KernelRow kRows[] = {
    {"resize", make<mil_ops::read_resize>, true},
    {"resize_bilinear", make<mil_ops::read_resize_bilinear>, true},
    {"resize_nearest_neighbor", make<mil_ops::read_resize_nearest_neighbor>, true},
    {"upsample_bilinear", make<mil_ops::read_upsample_bilinear>, true},
    {"upsample_nearest_neighbor", make<mil_ops::read_upsample_nearest_neighbor>, true},
};

}  // namespace

constinit const std::span<const KernelRow> kResizes = kRows;

}  // namespace cortland::engine::kernels
