// linear, and matmul with a constant right operand: one packed matrix, however many rows meet it.
#include <fmt/format.h>

#include "engine/gemm/compressed.h"
#include "engine/gemm/kernels.h"

namespace cortland::engine::gemm {
namespace {

using mil::Tensor;

class ProductKernel final : public Kernel {
 public:
  ProductKernel(PackedMatrix matrix, std::string_view operand, std::vector<float> bias)
      : matrix_(std::move(matrix)), operand_(operand), bias_(std::move(bias)) {}

  Status run(KernelContext& c) override {
    const Tensor x = c.tensor("x").cast(DType::F32);
    if (x.rank() == 0 || x.dim(-1) != matrix_.k())
      return c.error(fmt::format("x has {} features, '{}' takes {}", x.rank() ? x.dim(-1) : 0, operand_, matrix_.k()));
    std::vector<int64_t> shape = x.shape;
    shape.back() = matrix_.n();
    Tensor out = Tensor::make(DType::F32, std::move(shape));
    matrix_.multiply({x.data<float>(), matrix_.k(), x.elements() / matrix_.k()},
                     {out.mutable_data<float>(), matrix_.n(), bias_.empty() ? nullptr : bias_.data()});
    c.set_output(0, out.cast(c.result_types[0].dtype()));
    return {};
  }

  bool reads(std::string_view input) const override { return input != operand_; }

 private:
  PackedMatrix matrix_;
  std::string_view operand_;
  std::vector<float> bias_;
};

// How many rows meet the matrix; -1 when the program leaves it open.
int64_t rows_of(const mil::Type& x) {
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < x.shape().size(); ++i) {
    if (!x.shape()[i].is_constant()) return -1;
    rows *= x.shape()[i].constant();
  }
  return rows;
}

// float32 with many rows is as fast in oneDNN, which shares its layout with nobody else.
bool takes_floats(const Site& site, DType weight) {
#ifdef CORTLAND_ONEDNN
  constexpr int64_t kMostRows = 8;
  const int64_t rows = rows_of(site.type("x"));
  return weight == DType::F16 || (rows >= 0 && rows <= kMostRows);
#else
  static_cast<void>(site);
  return weight == DType::F16 || weight == DType::F32;
#endif
}

// `operand`: a constant of two axes, `transposed` if it lies [n, k].
std::unique_ptr<Kernel> make_product(const Site& site, std::string_view operand, bool transposed, std::vector<float> bias) {
  const mil::Type& type = site.type(operand);
  if (type.rank() != 2 || !type.tensor.is_static() || !is_float(type.dtype()) || !is_float(site.type("x").dtype()))
    return nullptr;
  for (Dim d : type.shape())
    if (d.constant() == 0) return nullptr;
  if (auto compressed = pack_compressed(site, operand, transposed))
    return std::make_unique<ProductKernel>(*std::move(compressed), operand, std::move(bias));
  if (!takes_floats(site, type.dtype())) return nullptr;
  const Tensor& values = site.tensor(operand);
  return std::make_unique<ProductKernel>(PackedMatrix::floats(values, MatrixLayout::of(values.shape, transposed)), operand,
                                         std::move(bias));
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

}  // namespace cortland::engine::gemm
