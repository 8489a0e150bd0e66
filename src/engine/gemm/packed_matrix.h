// PackedMatrix: the right operand of a product, k x n, laid out once in panels of 32 columns that the micro kernels stream.
// Floats keep their type; codes of 8 and 4 bits stay codes and become floats in registers or in the L1 cache. Immutable.
#pragma once

#include <functional>

#include "engine/gemm/micro_kernels.h"
#include "mil/runtime.h"

namespace cortland::engine::gemm {

// Where element (k, n) of a matrix lies: at k * k_step + n * n_step.
struct MatrixLayout {
  int64_t k, n, k_step, n_step;

  // A tensor of two axes: [k, n], or transposed [n, k].
  static MatrixLayout of(const std::vector<int64_t>& shape, bool transposed) {
    return transposed ? MatrixLayout{shape[1], shape[0], 1, shape[1]} : MatrixLayout{shape[0], shape[1], shape[1], 1};
  }
};

// The element is scale * (code - zero), where blocks of the matrix have one scale and one zero.
struct BlockQuantization {
  mil::Tensor scale;        // float16 or float32; not set: 1
  std::vector<float> zero;  // lies as the scales do; empty: 0
  MatrixLayout layout{};    // of the scales: k and n divide those of the matrix
};

// Called with values[count], final values of row `row` from `column` on, while they are in the L1 cache. From several
// threads.
using Epilogue = std::function<void(float* values, int64_t row, int64_t column, int64_t count)>;

// Rows of floats, that many apart.
struct Rows {
  const float* data;
  int64_t step, count;
};
// Where a product goes: it is added to what the rows hold, or else to bias[n], or to nothing.
struct Target {
  float* data;
  int64_t step;
  const float* bias = nullptr;
  bool add = false;
};

class PackedMatrix {
 public:
  static PackedMatrix floats(const mil::Tensor& values, const MatrixLayout& layout);  // float16 or float32
  // One int8 or uint8 an element.
  static PackedMatrix int8(const mil::Tensor& codes, const MatrixLayout& layout, const BlockQuantization& q);
  // Codes of up to 4 bits, the first in the low bits of a byte, that stand for table[group][code]; 16 values a table, each
  // for n / tables columns, a multiple of 16 where there are several.
  static PackedMatrix table(const uint8_t* codes, int bits, const MatrixLayout& layout, const std::vector<float>& tables,
                            const BlockQuantization& q);
  // Whether `q` has blocks that int8() and table() take: 8 x i rows, or whole columns.
  static bool fits(const MatrixLayout& layout, const BlockQuantization& q);

  int64_t k() const { return k_; }
  int64_t n() const { return n_; }
  size_t bytes() const { return codes_.bytes() + scale_.bytes() + zero_.size() * sizeof(float); }

  // to[rows, n] (+)= x[rows, k] * this
  void multiply(const Rows& x, const Target& to, const Epilogue& epilogue = {},
                const MicroKernels& kernels = micro_kernels().front()) const;

 private:
  enum class Form : uint8_t { Float, Half, Int8, Table };
  struct Call;

  PackedMatrix(Form form, const MatrixLayout& layout) : form_(form), k_(layout.k), n_(layout.n), block_(layout.k) {}
  int64_t panels() const { return (n_ + kPanel - 1) / kPanel; }
  size_t panel_bytes() const;
  const std::byte* panel(int64_t index) const { return codes_.data() + static_cast<size_t>(index) * panel_bytes(); }
  void pack_scales(const BlockQuantization& q);
  CodedPanel coded(int64_t panel) const;
  void run_panel(const Call& call, int64_t panel, int64_t first_row, int64_t rows) const;
  const float* decode(const Call& call, int64_t panel, int64_t first, int64_t depth, float* scratch) const;

  Form form_;
  int64_t k_, n_, block_;
  mil::Tensor codes_;          // panels one after the other
  mil::Tensor scale_;          // [panels, k / block, 32]
  std::vector<float> zero_;    // the same
  std::vector<float> tables_;  // [panels, 32]
};

}  // namespace cortland::engine::gemm
