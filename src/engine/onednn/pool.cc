// Pools over 1 to 3 spatial axes.
#include "engine/onednn/kernels.h"
#include "engine/onednn/versions.h"
#include "mil_ops/window.h"

namespace cortland::engine::onednn {
namespace {

using mil::Tensor;

// One shape of x.
struct Pooling {
  Primitive primitive;
  Desc src, dst;
  std::vector<int64_t> out;
};

class PoolKernel final : public Kernel {
 public:
  PoolKernel(dnnl::algorithm algorithm, const Site& site)
      : algorithm_(algorithm), kernel_(site.ints("kernel_sizes")), manner_(site.manner) {}

  Status run(KernelContext& c) override {
    return run_or_fall_back(c, manner_, [&]() -> std::optional<Tensor> {
      const Tensor x = c.tensor("x").cast(DType::F32);
      if (x.rank() != static_cast<int>(kernel_.size()) + 2 || x.elements() == 0) return std::nullopt;
      const auto& made = poolings_.get(x.shape, [&] { return make(c, x); });
      if (!made) return std::nullopt;
      return execute(made->primitive, {x, made->src}, {}, {}, c.addends, manner_.post, made->out, made->dst);
    });
  }

 private:
  std::optional<Pooling> make(const KernelContext& c, const Tensor& x) const {
    const auto in = manner_.channels_last ? channels_first(x.shape) : x.shape;
    const auto windows = mil_ops::read_windows(c, kernel_.size());
    if (!windows.ok()) return std::nullopt;
    std::vector<int64_t> out = {in[0], in[1]};
    ConvolutionSizes sizes;
    DimTable dims;
    for (size_t i = 0; i < kernel_.size(); ++i) {
      const Dim size = windows->out_size(dims, i, in[i + 2], kernel_[i]);
      if (!size.is_constant() || size.constant() < 1) return std::nullopt;
      out.push_back(size.constant());
      const int64_t stride = windows->strides[i], before = windows->before(i, in[i + 2], kernel_[i], size.constant());
      const int64_t after = (size.constant() - 1) * stride + kernel_[i] - in[i + 2] - before;
      // A window may not lie in the padding as a whole; oneDNN counts what the ceiling adds as padding.
      if (before >= kernel_[i] || after >= kernel_[i]) return std::nullopt;
      if (windows->ceil_mode && algorithm_ == dnnl::algorithm::pooling_avg_include_padding) return std::nullopt;
      sizes.strides.push_back(stride);
      sizes.dilations.push_back(0);
      sizes.before.push_back(before);
      sizes.after.push_back(std::max<int64_t>(0, after));
    }
    const auto lie = [&](const Dims& d) { return manner_.channels_last ? onednn::channels_last(d) : plain(d); };
    Pooling made{{}, lie(in), lie(out), manner_.channels_last ? engine::channels_last(out) : out};
    made.primitive = pooling_primitive(algorithm_, made.src, made.dst, kernel_, sizes, attributes(manner_.post, made.dst));
    return made;
  }

  dnnl::algorithm algorithm_;
  Dims kernel_;
  Manner manner_;
  ShapeCache<std::optional<Pooling>> poolings_;
};

std::unique_ptr<Kernel> make_pool(dnnl::algorithm algorithm, const Site& site) {
  const int rank = site.type("x").rank();
  if (rank < 3 || rank > 5 || !is_float(site.type("x").dtype()) || !site.is_constant("kernel_sizes") || !accepts(site.manner.post))
    return nullptr;
  return std::make_unique<PoolKernel>(algorithm, site);
}

}  // namespace

std::unique_ptr<Kernel> make_avg_pool(const Site& site) {
  const bool exclude = site.boolean("exclude_padding_from_average");
  return make_pool(exclude ? dnnl::algorithm::pooling_avg_exclude_padding : dnnl::algorithm::pooling_avg_include_padding, site);
}

std::unique_ptr<Kernel> make_max_pool(const Site& site) { return make_pool(dnnl::algorithm::pooling_max, site); }

}  // namespace cortland::engine::onednn
