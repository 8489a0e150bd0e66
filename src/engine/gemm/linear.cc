// linear, matmul with a constant right operand, and conv of single pixels: one packed matrix, however many rows meet it.
#include <fmt/format.h>

#include <algorithm>

#include "engine/gemm/compressed.h"
#include "engine/gemm/kernels.h"

namespace cortland::engine::gemm {
namespace {

using mil::Tensor;

class ProductKernel final : public Kernel {
 public:
  ProductKernel(PackedMatrix matrix, std::string_view operand, std::vector<float> bias, std::vector<PostOp> post)
      : matrix_(std::move(matrix)), operand_(operand), bias_(std::move(bias)), post_(std::move(post)) {}

  Status run(KernelContext& c) override {
    const Tensor x = c.tensor("x").cast(DType::F32);
    const int64_t k = matrix_.k(), n = matrix_.n();
    if (x.rank() == 0 || x.dim(-1) != k)
      return c.error(fmt::format("x has {} features, '{}' takes {}", x.rank() ? x.dim(-1) : 0, operand_, k));
    std::vector<int64_t> shape = x.shape;
    shape.back() = n;
    for (const mil::RuntimeValue& addend : c.addends)
      if (addend.tensor.dtype != DType::F32 || addend.tensor.shape != shape)
        return c.error("what is added to the product has another shape");
    Tensor out = Tensor::make(DType::F32, std::move(shape));
    Epilogue epilogue;
    if (!post_.empty())
      epilogue = [&](float* values, int64_t row, int64_t column, int64_t count) {
        apply_post_ops(post_, c.addends, row * n + column, values, count);
      };
    matrix_.multiply({x.data<float>(), k, x.elements() / k},
                     {out.mutable_data<float>(), n, bias_.empty() ? nullptr : bias_.data()}, epilogue);
    c.set_output(0, out.cast(c.result_types[0].dtype()));
    return {};
  }

  bool reads(std::string_view input) const override { return input != operand_; }

 private:
  PackedMatrix matrix_;
  std::string_view operand_;
  std::vector<float> bias_;
  std::vector<PostOp> post_;
};

#ifdef CORTLAND_ONEDNN
// With many rows of float32 oneDNN is a little faster; how many there are may be open.
bool takes_floats(const mil::Type& x) {
  constexpr int64_t kMostRows = 64;
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < x.shape().size(); ++i) {
    if (!x.shape()[i].is_constant()) return false;
    rows *= x.shape()[i].constant();
  }
  return rows <= kMostRows;
}
#else
bool takes_floats(const mil::Type&) { return true; }
#endif

// `operand`: a constant of two axes, `transposed` if it lies [n, k].
std::unique_ptr<Kernel> make_product(const Site& site, std::string_view operand, bool transposed, std::vector<float> bias) {
  if (site.manner.channels_last) return nullptr;
  const mil::Type& type = site.type(operand);
  if (type.rank() != 2 || !type.tensor.is_static() || !is_float(type.dtype()) || !is_float(site.type("x").dtype()))
    return nullptr;
  for (Dim d : type.shape())
    if (d.constant() == 0) return nullptr;
  if (auto compressed = pack_compressed(site, operand, transposed))
    return std::make_unique<ProductKernel>(*std::move(compressed), operand, std::move(bias), site.manner.post);
  if (type.dtype() != DType::F16 && (type.dtype() != DType::F32 || !takes_floats(site.type("x")))) return nullptr;
  const Tensor& values = site.tensor(operand);
  return std::make_unique<ProductKernel>(PackedMatrix::floats(values, MatrixLayout::of(values.shape, transposed)), operand,
                                         std::move(bias), site.manner.post);
}

}  // namespace

std::unique_ptr<Kernel> make_linear(const Site& site) {
  if (!site.is_constant("weight") || (site.has("bias") && !site.is_constant("bias"))) return nullptr;
  if (site.type("weight").rank() != 2) return nullptr;
  std::vector<float> bias;
  if (site.has("bias")) {
    if (site.type("bias").rank() != 1 || site.type("bias").shape()[0] != site.type("weight").shape()[0]) return nullptr;
    bias = site.tensor("bias").floats();
  }
  return make_product(site, "weight", true, std::move(bias));
}

std::unique_ptr<Kernel> make_matmul(const Site& site) {
  if (!site.is_constant("y") || site.is_constant("x") || site.type("x").rank() < 2) return nullptr;
  for (const char* flag : {"transpose_x", "transpose_y"})
    if (site.has(flag) && !site.is_constant(flag)) return nullptr;
  if (site.boolean("transpose_x")) return nullptr;
  return make_product(site, "y", site.boolean("transpose_y"), {});
}

// A window of one pixel on images of one pixel, as where channels are weighed by their means.
std::unique_ptr<Kernel> make_conv(const Site& site) {
  const mil::Type &x = site.type("x"), &w = site.type("weight");
  if (!site.manner.channels_last || !is_float(x.dtype()) || !site.is_constant("weight") || !w.tensor.is_static()) return nullptr;
  if (w.dtype() != DType::F16 && w.dtype() != DType::F32) return nullptr;
  const auto is_one = [](Dim d) { return d == Dim(1); };
  if (x.rank() < 3 || w.rank() != x.rank() || x.shape().back() != w.shape()[1]) return nullptr;  // groups have fewer channels
  if (!std::all_of(x.shape().begin() + 1, x.shape().end() - 1, is_one)) return nullptr;
  if (!std::all_of(w.shape().begin() + 2, w.shape().end(), is_one)) return nullptr;
  for (const char* input : {"bias", "pad"})
    if (site.has(input) && !site.is_constant(input)) return nullptr;
  if (site.has("pad"))
    for (int64_t p : site.ints("pad"))
      if (p != 0) return nullptr;
  std::vector<float> bias;
  if (site.has("bias")) bias = site.tensor("bias").floats();
  const MatrixLayout layout = MatrixLayout::of({w.shape()[0].constant(), w.shape()[1].constant()}, true);
  if (layout.n == 0 || layout.k == 0 || (site.has("bias") && static_cast<int64_t>(bias.size()) != layout.n)) return nullptr;
  return std::make_unique<ProductKernel>(PackedMatrix::floats(site.tensor("weight"), layout), "weight", std::move(bias),
                                         site.manner.post);
}

}  // namespace cortland::engine::gemm
