// conv and conv_transpose with constant weights. Layouts are oneDNN's choice: reordering in and out costs less than a
// convolution over rows of pixels. Images with channels last are cut into bands of rows, each with what follows the convolution
// while it is in the cache of the thread that also had its rows before and will have them next.
#include <algorithm>
#include <atomic>

#include "engine/onednn/kernels.h"
#include "engine/onednn/versions.h"
#include "engine/threads.h"
#include "mil_ops/window.h"

namespace cortland::engine::onednn {
namespace {

using mil::EvalContext;
using mil::Tensor;

bool accepts(const Site& site) {
  const int rank = site.type("x").rank();
  return is_float(site.type("x").dtype()) && rank >= 3 && rank <= 5 && site.is_constant("weight") &&
         site.tensor("weight").rank() == rank && site.tensor("weight").elements() > 0 && is_float(site.tensor("weight").dtype) &&
         (!site.has("bias") || site.is_constant("bias"));
}

// What does not depend on the run. Transposed: weights are [C_in, C_out / groups, *K] instead of [C_out, C_in / groups, *K].
struct Filters {
  bool transposed;
  int64_t groups, in_channels, out_channels;  // channels of all groups
  Dims kernel;

  Filters(const Site& site, bool transposed) : transposed(transposed) {
    const auto& shape = site.tensor("weight").shape;
    groups = site.is_constant("groups") ? site.ints("groups").at(0) : 1;
    out_channels = transposed ? shape[1] * groups : shape[0];
    in_channels = transposed ? shape[0] : shape[1] * groups;
    kernel.assign(shape.begin() + 2, shape.end());
  }

  bool fit() const { return groups >= 1 && in_channels % groups == 0 && out_channels % groups == 0; }

  // oneDNN's order is [groups,] out, in, *K.
  Dims dims() const {
    Dims d = {out_channels / groups, in_channels / groups};
    d.insert(d.end(), kernel.begin(), kernel.end());
    if (groups > 1) d.insert(d.begin(), groups);
    return d;
  }

  Desc desc() const {
    if (!transposed) return plain(dims());
    Dims strides(kernel.size(), 1);
    for (size_t i = kernel.size(); i-- > 1;) strides[i - 1] = strides[i] * kernel[i];
    const int64_t taps = strides[0] * kernel[0], out = out_channels / groups;
    strides.insert(strides.begin(), {taps, out * taps});
    if (groups > 1) strides.insert(strides.begin(), in_channels / groups * out * taps);
    return strided(dims(), strides);
  }
};

// Sizes of one run; nothing where the reference kernel is to judge.
struct Geometry {
  std::vector<int64_t> out;
  ConvolutionSizes sizes;
};

std::optional<Geometry> convolution_geometry(const EvalContext& c, const Tensor& x, const Filters& f) {
  const size_t spatial = f.kernel.size();
  const auto windows = mil_ops::read_windows(c, spatial);
  if (!windows.ok()) return std::nullopt;
  DimTable dims;
  Geometry g{{x.dim(0), f.out_channels}, {}};
  for (size_t i = 0; i < spatial; ++i) {
    const int64_t in = x.shape[i + 2], extent = (f.kernel[i] - 1) * windows->dilations[i] + 1, stride = windows->strides[i];
    const Dim out = windows->out_size(dims, i, in, f.kernel[i]);
    if (!out.is_constant() || out.constant() < 1) return std::nullopt;
    const int64_t before = windows->before(i, in, f.kernel[i], out.constant());
    g.out.push_back(out.constant());
    g.sizes.strides.push_back(stride);
    g.sizes.dilations.push_back(windows->dilations[i] - 1);
    g.sizes.before.push_back(before);
    g.sizes.after.push_back(std::max<int64_t>(0, (out.constant() - 1) * stride + extent - in - before));
  }
  return g;
}

std::optional<Geometry> transposed_geometry(const EvalContext& c, const Tensor& x, const Filters& f) {
  const size_t spatial = f.kernel.size();
  const auto windows = mil_ops::read_windows(c, spatial);
  if (!windows.ok() || windows->pad_type == mil_ops::PadType::SameLower) return std::nullopt;
  const bool same = windows->pad_type == mil_ops::PadType::Same;
  Geometry g{{x.dim(0), f.out_channels}, {}};
  const auto given = c.has("output_shape") ? c.ints("output_shape") : std::vector<int64_t>();
  if (!given.empty() && given.size() != spatial + 2) return std::nullopt;
  for (size_t i = 0; i < spatial; ++i) {
    const int64_t stride = windows->strides[i], extent = (f.kernel[i] - 1) * windows->dilations[i] + 1;
    const int64_t full = (x.shape[i + 2] - 1) * stride + extent;
    int64_t out = same ? x.shape[i + 2] * stride : full - windows->pad[2 * i] - windows->pad[2 * i + 1];
    if (!given.empty()) out = given[i + 2];
    const int64_t before = same ? std::max<int64_t>(0, full - out) / 2 : windows->pad[2 * i], after = full - out - before;
    if (out < 1 || after < 0) return std::nullopt;
    g.out.push_back(out);
    g.sizes.strides.push_back(stride);
    g.sizes.dilations.push_back(windows->dilations[i] - 1);
    g.sizes.before.push_back(before);
    g.sizes.after.push_back(after);
  }
  return g;
}

// Some rows of the result, from element dst_at on, and the rows of x that they see.
struct Band {
  Primitive primitive;
  Desc src, dst;
  int64_t src_at, dst_at, elements;  // of the result
  dnnl::memory weights, bias, scratchpad;
};

// One shape of x.
struct Convolution {
  Primitive primitive;
  Desc src, dst;
  std::vector<int64_t> out;  // as the result tensor has it
  std::vector<Band> bands;   // in place of the primitive, if any
};

class ConvolutionKernel final : public Kernel {
 public:
  ConvolutionKernel(const Site& site, Filters filters)
      : filters_(std::move(filters)), weights_(site.tensor("weight"), filters_.desc()), manner_(site.manner) {
    if (site.has("bias")) bias_.emplace(site.tensor("bias"), plain({filters_.out_channels}));
    bias_fits_ = !site.has("bias") || site.tensor("bias").shape == std::vector<int64_t>{filters_.out_channels};
    const auto own = manner_.post.begin() + static_cast<int64_t>(accepted(manner_.post));
    inside_.assign(manner_.post.begin(), own);
    after_.assign(own, manner_.post.end());
    adds_inside_ = static_cast<size_t>(
        std::count_if(inside_.begin(), inside_.end(), [](const PostOp& op) { return op.kind == PostOp::Kind::Add; }));
  }

  Status run(KernelContext& c) override {
    return run_or_fall_back(c, manner_, [&]() -> std::optional<Tensor> {
      const Tensor x = c.tensor("x").cast(DType::F32);
      if (!bias_fits_ || x.rank() != static_cast<int>(filters_.kernel.size()) + 2 || x.elements() == 0) return std::nullopt;
      auto& made = convolutions_.get(x.shape, [&] { return make(c, x); });
      if (!made) return std::nullopt;
      if (!made->bands.empty()) return run_bands(c, x, *made);
      const Primitive& p = made->primitive;
      Tensor out = execute(p, {x, made->src}, weights_.in_layout(p.weights), bias_ ? bias_->in_layout(p.bias) : dnnl::memory(),
                           c.addends, inside_, made->out, made->dst);
      constexpr int64_t kGrain = 1 << 15;
      if (!after_.empty())
        parallel_for(out.elements(), kGrain, [&](int64_t first, int64_t last) { follow(c, out, first, last - first); });
      return out;
    });
  }

 private:
  // What oneDNN leaves of the post-ops.
  void follow(const KernelContext& c, Tensor& out, int64_t first, int64_t count) const {
    apply_post_ops(after_, c.addends.subspan(adds_inside_), first, out.mutable_data<float>() + first, count);
  }

  std::optional<Tensor> run_bands(const KernelContext& c, const Tensor& x, const Convolution& made) const {
    Tensor out = Tensor::make(DType::F32, made.out);
    const int64_t threads = thread_count(), count = static_cast<int64_t>(made.bands.size());
    std::atomic<bool> failed = false;
    parallel_on_openmp(threads, [&](int64_t t) {
      try {
        for (int64_t i = count * t / threads; i < count * (t + 1) / threads; ++i) {
          const Band& b = made.bands[static_cast<size_t>(i)];
          const dnnl::memory src(b.src, cpu(), const_cast<float*>(x.data<float>()) + b.src_at);
          const dnnl::memory dst(b.dst, cpu(), out.mutable_data<float>() + b.dst_at);
          onednn::execute(b.primitive, {src, b.weights, b.bias, dst, b.scratchpad}, c.addends, b.dst_at, inside_);
          if (!after_.empty()) follow(c, out, b.dst_at, b.elements);
        }
      } catch (const dnnl::error&) {
        failed = true;
      }
    });
    return failed ? std::nullopt : std::optional(std::move(out));
  }

  std::optional<Convolution> make(const KernelContext& c, const Tensor& x) {
    const Tensor first = manner_.channels_last ? x.reshaped(channels_first(x.shape)) : x;  // only its shape counts
    if (first.dim(1) != filters_.in_channels) return std::nullopt;
    const auto g = filters_.transposed ? transposed_geometry(c, first, filters_) : convolution_geometry(c, first, filters_);
    if (!g) return std::nullopt;
    Convolution made;
    const auto lie = [&](const Dims& dims) { return manner_.channels_last ? onednn::channels_last(dims) : plain(dims); };
    made.src = lie(first.shape), made.dst = lie(g->out);
    made.out = manner_.channels_last ? engine::channels_last(g->out) : g->out;
    try {
      made.bands = make_bands(first.shape, *g);
      if (!made.bands.empty()) return made;
    } catch (const dnnl::error&) {
      // A band it has no primitive for; it may have one for the whole.
    }
    // Row by row the library may choose; its addends lie as the result does, which must then be what we have.
    const bool fixed = manner_.channels_last || !manner_.post.empty();
    made.primitive = primitive(manner_.channels_last ? made.src : any_layout(first.shape), fixed ? made.dst : any_layout(g->out), g->sizes,
                               attributes(inside_, made.dst));
    return made;
  }

  Primitive primitive(const Desc& src, const Desc& dst, const ConvolutionSizes& sizes, const dnnl::primitive_attr& attributes) const {
    const auto bias = bias_ ? std::optional(plain({filters_.out_channels})) : std::nullopt;
    const Desc weights = any_layout(filters_.dims());
    return filters_.transposed ? convolution_primitive<dnnl::deconvolution_forward>(dnnl::algorithm::deconvolution_direct, src, weights,
                                                                                    bias, dst, sizes, attributes)
                               : convolution_primitive<dnnl::convolution_forward>(dnnl::algorithm::convolution_direct, src, weights, bias,
                                                                                  dst, sizes, attributes);
  }

  // None where threads had better share the weights.
  std::vector<Band> make_bands(const std::vector<int64_t>& in, const Geometry& g) {
    if (!manner_.channels_last || filters_.transposed || in.size() != 4 || in[0] != 1) return {};
    const int64_t rows = g.out[2], row = g.out[1] * g.out[3], in_row = in[1] * in[3], threads = thread_count();
    constexpr int64_t kCache = 96 << 10;  // elements of a result that stay in the L2 cache beside what they are made of
    constexpr int64_t kMost = 16;         // bands of a thread: each costs a primitive
    const int64_t each = after_.empty() ? 1 : std::min(kMost, (rows * row + threads * kCache - 1) / (threads * kCache));
    const int64_t count = std::min(rows, threads * each);
    if (count < threads || in[2] * in_row + rows * row < weights_.elements()) return {};
    const ThreadLimit alone(1);  // primitives are made for the threads there are
    std::vector<Band> bands;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t first = rows * i / count, last = rows * (i + 1) / count;
      const int64_t extent = (filters_.kernel[0] - 1) * (g.sizes.dilations[0] + 1) + 1;
      const int64_t begin = first * g.sizes.strides[0] - g.sizes.before[0];
      const int64_t end = (last - 1) * g.sizes.strides[0] - g.sizes.before[0] + extent;
      const int64_t from = std::max<int64_t>(begin, 0), to = std::min(end, in[2]);
      if (from >= to) return {};
      ConvolutionSizes sizes = g.sizes;
      sizes.before[0] = from - begin, sizes.after[0] = end - to;
      Band b{{}, onednn::channels_last({1, in[1], to - from, in[3]}), onednn::channels_last({1, g.out[1], last - first, g.out[3]}),
             from * in_row, first * row, (last - first) * row, {}, {}, {}};
      auto with = attributes(inside_, b.dst);
      with.set_scratchpad_mode(dnnl::scratchpad_mode::user);  // oneDNN's own belongs to the thread that makes the primitive
      b.primitive = primitive(b.src, b.dst, sizes, with);
      b.weights = weights_.in_layout(b.primitive.weights);
      if (bias_) b.bias = bias_->in_layout(b.primitive.bias);
      if (b.primitive.scratchpad.get_size() > 0) b.scratchpad = dnnl::memory(b.primitive.scratchpad, cpu());
      bands.push_back(std::move(b));
    }
    return bands;
  }

  Filters filters_;
  PackedWeights weights_;
  std::optional<PackedWeights> bias_;
  bool bias_fits_ = true;
  Manner manner_;
  std::vector<PostOp> inside_, after_;  // the manner's post-ops: those in oneDNN's primitive, and those after it
  size_t adds_inside_;
  ShapeCache<std::optional<Convolution>> convolutions_;
};

std::unique_ptr<Kernel> make_kernel(const Site& site, bool transposed) {
  if (!accepts(site)) return nullptr;
  Filters filters(site, transposed);
  if (!filters.fit()) return nullptr;
  return std::make_unique<ConvolutionKernel>(site, std::move(filters));
}

}  // namespace

std::unique_ptr<Kernel> make_conv(const Site& site) { return make_kernel(site, false); }
std::unique_ptr<Kernel> make_conv_transpose(const Site& site) { return make_kernel(site, true); }

}  // namespace cortland::engine::onednn
