// gather of rows of a compressed table: only the rows that are read are expanded.
#include "engine/gemm/compressed.h"
#include "engine/gemm/kernels.h"
#include "mil_ops/indexing.h"

namespace cortland::engine::gemm {
namespace {

using mil::Tensor;

class RowsKernel final : public Kernel {
 public:
  RowsKernel(Expression table, int64_t rows, int64_t width) : table_(std::move(table)), rows_(rows), width_(width) {}

  Status run(KernelContext& c) override {
    TRY(const auto indices, mil_ops::checked_indices(c, "indices", rows_));
    std::vector<int64_t> shape = c.tensor("indices").shape;
    shape.push_back(width_);
    Tensor out = Tensor::make(DType::F32, std::move(shape));
    float* to = out.mutable_data<float>();
    for (int64_t row : indices) {
      const auto part = row_of(table_, row);
      CHECK(part.has_value());
      TRY(const auto values, part->evaluate());
      const Tensor wide = values[0].tensor.cast(DType::F32);
      to = std::copy_n(wide.data<float>(), width_, to);
    }
    c.set_output(0, out.cast(c.result_types[0].dtype()));
    return {};
  }

  bool reads(std::string_view input) const override { return input != "x"; }

 private:
  Expression table_;
  int64_t rows_, width_;
};

bool is_zero(const Site& site, std::string_view input) {
  return site.op.slot(input) < 0 || !site.has(input) || (site.is_constant(input) && site.ints(input)[0] == 0);
}

}  // namespace

std::unique_ptr<Kernel> make_gather(const Site& site) {
  const Expression* table = site.is_constant("x") ? site.expression("x") : nullptr;
  if (!table || !is_zero(site, "axis") || !is_zero(site, "batch_dims")) return nullptr;
  const mil::Type& type = site.type("x");
  if (type.rank() != 2 || !is_float(type.dtype())) return nullptr;
  const int64_t rows = type.shape()[0].constant(), width = type.shape()[1].constant();
  // If there is a last row, there are those before it.
  const auto last = row_of(*table, rows - 1);
  if (!last || width == 0) return nullptr;
  const auto values = last->evaluate();
  if (!values.ok() || (*values)[0].tensor.elements() != width) return nullptr;
  return std::make_unique<RowsKernel>(*table, rows, width);
}

}  // namespace cortland::engine::gemm
