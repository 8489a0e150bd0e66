// linear and matmul on floats. A constant right operand is laid out once; a computed one is taken as it lies.
#include <algorithm>

#include "engine/onednn/kernels.h"
#include "engine/onednn/versions.h"

namespace cortland::engine::onednn {
namespace {

using mil::Tensor;
using Shape = std::vector<int64_t>;

// One matrix with what stands before it: [batch..., rows, columns], stored transposed or not.
struct Matrices {
  Dims dims, strides;

  Matrices(const Shape& shape, bool transposed) : dims(shape), strides(shape.size(), 1) {
    for (size_t i = dims.size(); i-- > 1;) strides[i - 1] = strides[i] * dims[i];
    if (!transposed) return;
    std::swap(dims.end()[-1], dims.end()[-2]);
    std::swap(strides.end()[-1], strides.end()[-2]);
  }

  int64_t rows() const { return dims.end()[-2]; }
  int64_t columns() const { return dims.end()[-1]; }
  void add_leading(size_t rank) {
    const int64_t outer = dims.empty() ? 1 : dims[0] * strides[0];
    while (dims.size() < rank) dims.insert(dims.begin(), 1), strides.insert(strides.begin(), outer);
  }
  Desc desc() const { return strided(dims, strides); }
};

class LinearKernel final : public Kernel {
 public:
  explicit LinearKernel(const Site& site)
      : in_(site.tensor("weight").dim(1)), out_(site.tensor("weight").dim(0)),
        weights_(site.tensor("weight"), strided({in_, out_}, {1, in_})), manner_(site.manner) {
    if (site.has("bias")) bias_.emplace(site.tensor("bias"), plain({1, out_}));
  }

  Status run(KernelContext& c) override {
    return run_or_fall_back(c, manner_, [&]() -> std::optional<Tensor> {
      const Tensor x = c.tensor("x").cast(DType::F32);
      if (x.rank() == 0 || x.dim(-1) != in_ || x.elements() == 0) return std::nullopt;
      Shape shape = x.shape;
      shape.back() = out_;
      const int64_t rows = x.elements() / in_;
      const Desc src = plain({rows, in_}), dst = plain({rows, out_});
      Primitive& p = primitives_.get({rows}, [&] {
        return matmul_primitive(src, any_layout({in_, out_}), bias_ ? std::optional(plain({1, out_})) : std::nullopt, dst,
                                attributes(manner_.post, dst));
      });
      return execute(p, {x, src}, weights_.in_layout(p.weights), bias_ ? bias_->in_layout(p.bias) : dnnl::memory(), c.addends, manner_.post,
                     std::move(shape), dst);
    });
  }

 private:
  int64_t in_, out_;
  PackedWeights weights_;
  std::optional<PackedWeights> bias_;
  Manner manner_;
  ShapeCache<Primitive> primitives_;
};

class MatmulKernel final : public Kernel {
 public:
  explicit MatmulKernel(const Site& site)
      : transpose_x_(site.boolean("transpose_x")), transpose_y_(site.boolean("transpose_y")), manner_(site.manner) {
    if (site.is_constant("y")) constant_y_.emplace(site.tensor("y"), Matrices(site.tensor("y").shape, transpose_y_).desc());
  }

  Status run(KernelContext& c) override {
    return run_or_fall_back(c, manner_, [&] { return multiply(c); });
  }

 private:
  std::optional<Tensor> multiply(KernelContext& c) {
    const Tensor x = c.tensor("x").cast(DType::F32), &y_given = c.tensor("y");
    if (x.rank() < 2 || y_given.rank() < 2 || x.elements() == 0 || y_given.elements() == 0) return std::nullopt;
    Matrices a(x.shape, transpose_x_), b(y_given.shape, transpose_y_);
    if (a.columns() != b.rows()) return std::nullopt;
    const auto batch = mil::broadcast(Shape(a.dims.begin(), a.dims.end() - 2), Shape(b.dims.begin(), b.dims.end() - 2));
    if (!batch.ok()) return std::nullopt;
    Shape shape = *batch;
    shape.insert(shape.end(), {a.rows(), b.columns()});
    Dims out = shape;
    const bool one_product = y_given.rank() == 2 && !transpose_x_;
    if (one_product) {  // all rows of x meet the same matrix
      a = Matrices({x.elements() / a.columns(), a.columns()}, false);
      out = {a.rows(), b.columns()};
    } else if (constant_y_ && y_given.rank() < x.rank()) {
      return std::nullopt;
    }
    a.add_leading(out.size());
    b.add_leading(out.size());
    Shape key = a.dims;
    key.insert(key.end(), b.dims.begin(), b.dims.end());
    Primitive& p = primitives_.get(key, [&] {
      return matmul_primitive(a.desc(), constant_y_ ? any_layout(b.dims) : b.desc(), std::nullopt, plain(out), attributes(manner_.post, plain(out)));
    });
    const Tensor y = constant_y_ ? Tensor() : y_given.cast(DType::F32);
    return execute(p, {x, a.desc()}, constant_y_ ? constant_y_->in_layout(p.weights) : view(y, b.desc()), dnnl::memory(), c.addends,
                   manner_.post, std::move(shape), plain(out));
  }

  bool transpose_x_, transpose_y_;
  std::optional<PackedWeights> constant_y_;
  Manner manner_;
  ShapeCache<Primitive> primitives_;
};

}  // namespace

std::unique_ptr<Kernel> make_linear(const Site& site) {
  const bool constants = site.is_constant("weight") && (!site.has("bias") || site.is_constant("bias"));
  if (!constants || !is_float(site.type("x").dtype()) || !is_float(site.tensor("weight").dtype)) return nullptr;
  const Tensor& weight = site.tensor("weight");
  if (weight.rank() != 2 || weight.elements() == 0) return nullptr;
  if (site.has("bias") && site.tensor("bias").shape != Shape{weight.dim(0)}) return nullptr;
  if (!onednn::accepts(site.manner.post)) return nullptr;
  return std::make_unique<LinearKernel>(site);
}

std::unique_ptr<Kernel> make_matmul(const Site& site) {
  if (!is_float(site.type("x").dtype()) || !is_float(site.type("y").dtype())) return nullptr;
  // Vectors are rare and a constant left operand gains nothing.
  if (site.type("x").rank() < 2 || site.type("y").rank() < 2) return nullptr;
  if (!onednn::accepts(site.manner.post)) return nullptr;
  for (const char* flag : {"transpose_x", "transpose_y"})
    if (site.has(flag) && !site.is_constant(flag)) return nullptr;
  return std::make_unique<MatmulKernel>(site);
}

}  // namespace cortland::engine::onednn
