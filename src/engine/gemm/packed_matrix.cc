#include "engine/gemm/packed_matrix.h"

#include <algorithm>

#include "engine/threads.h"

namespace cortland::engine::gemm {
namespace {

using mil::Tensor;

constexpr int64_t kGrain = 1 << 17;  // elements a thread packs at least

// to[k, 32] = the columns from `column` on; those past the last one are zeros.
template <class T>
void pack_panel(const T* from, const MatrixLayout& at, int64_t column, T* to) {
  const int64_t count = std::min(kPanel, at.n - column);
  constexpr int64_t kStep = 16;  // rows at a time: their lines stay in the L1 cache while columns are walked
  for (int64_t first = 0; first < at.k; first += kStep) {
    const int64_t last = std::min(at.k, first + kStep);
    if (at.n_step == 1) {
      for (int64_t k = first; k < last; ++k) std::copy_n(from + k * at.k_step + column, count, to + k * kPanel);
      continue;
    }
    for (int64_t j = 0; j < count; ++j) {
      const T* source = from + (column + j) * at.n_step;
      for (int64_t k = first; k < last; ++k) to[k * kPanel + j] = source[k * at.k_step];
    }
  }
  if (count < kPanel)
    for (int64_t k = 0; k < at.k; ++k) std::fill(to + k * kPanel + count, to + (k + 1) * kPanel, T{0});
}

uint32_t code_at(const uint8_t* codes, int bits, int64_t index) {
  const int64_t bit = index * bits;
  const int shift = static_cast<int>(bit % 8);
  uint32_t window = static_cast<uint32_t>(codes[bit / 8]) >> shift;
  if (shift + bits > 8) window |= static_cast<uint32_t>(codes[bit / 8 + 1]) << (8 - shift);
  return window & ((1u << bits) - 1);
}

// to[k / 8, 32], eight codes a word.
void pack_words(const uint8_t* codes, int bits, const MatrixLayout& at, int64_t column, uint32_t* to) {
  const int64_t count = std::min(kPanel, at.n - column), groups = (at.k + kGroup - 1) / kGroup;
  std::fill_n(to, groups * kPanel, 0u);
  const bool words = bits == 4 && at.k_step == 1 && at.k % kGroup == 0;  // as they lie
  for (int64_t j = 0; j < count; ++j) {
    const int64_t first = (column + j) * at.n_step;
    for (int64_t g = 0; g < groups; ++g) {
      uint32_t& word = to[g * kPanel + j];
      const int64_t k = g * kGroup;
      if (words) {
        std::memcpy(&word, codes + (first + k) / 2, sizeof word);
        continue;
      }
      for (int64_t i = 0; i < std::min(kGroup, at.k - k); ++i)
        word |= code_at(codes, bits, first + (k + i) * at.k_step) << (4 * i);
    }
  }
}

}  // namespace

size_t PackedMatrix::panel_bytes() const {
  const auto k = static_cast<size_t>(k_);
  switch (form_) {
    case Form::Float:
      return k * kPanel * sizeof(float);
    case Form::Half:
      return k * kPanel * sizeof(uint16_t);
    case Form::Int8:
      return k * kPanel;
    case Form::Table:
      break;
  }
  return (k + kGroup - 1) / kGroup * kPanel * sizeof(uint32_t);
}

PackedMatrix PackedMatrix::floats(const Tensor& values, const MatrixLayout& layout) {
  const bool half = values.dtype == DType::F16;
  CHECK(half || values.dtype == DType::F32);
  PackedMatrix m(half ? Form::Half : Form::Float, layout);
  m.codes_ = Tensor::make(DType::U8, {m.panels() * static_cast<int64_t>(m.panel_bytes())});
  std::byte* to = m.codes_.mutable_data();
  parallel_for(m.panels(), kGrain / (layout.k * kPanel), [&](int64_t first, int64_t last) {
    for (int64_t p = first; p < last; ++p) {
      std::byte* panel = to + static_cast<size_t>(p) * m.panel_bytes();
      if (half)
        pack_panel(values.data<uint16_t>(), layout, p * kPanel, reinterpret_cast<uint16_t*>(panel));
      else
        pack_panel(values.data<uint32_t>(), layout, p * kPanel, reinterpret_cast<uint32_t*>(panel));
    }
  });
  return m;
}

bool PackedMatrix::fits(const MatrixLayout& layout, const BlockQuantization& q) {
  if (!q.scale.storage) return q.zero.empty();
  const MatrixLayout& blocks = q.layout;
  if (q.scale.dtype != DType::F16 && q.scale.dtype != DType::F32) return false;
  if (blocks.k < 1 || blocks.n < 1 || layout.k % blocks.k || layout.n % blocks.n ||
      blocks.k * blocks.n != q.scale.elements())
    return false;
  if (!q.zero.empty() && static_cast<int64_t>(q.zero.size()) != q.scale.elements()) return false;
  return blocks.k == 1 || layout.k / blocks.k % kGroup == 0;
}

PackedMatrix PackedMatrix::int8(const Tensor& codes, const MatrixLayout& layout, const BlockQuantization& quantization) {
  PackedMatrix m(Form::Int8, layout);
  BlockQuantization q = quantization;
  const bool is_unsigned = codes.dtype == DType::U8;
  CHECK((is_unsigned || codes.dtype == DType::I8) && q.scale.storage && fits(layout, q));
  if (is_unsigned) {  // both move down by 128
    q.zero.resize(static_cast<size_t>(q.scale.elements()), 0.0f);
    for (float& z : q.zero) z -= 128;
  }
  m.pack_scales(q);
  m.codes_ = Tensor::make(DType::U8, {m.panels() * static_cast<int64_t>(m.panel_bytes())});
  auto* to = m.codes_.mutable_data<uint8_t>();
  parallel_for(m.panels(), kGrain / (layout.k * kPanel), [&](int64_t first, int64_t last) {
    for (int64_t p = first; p < last; ++p) {
      uint8_t* panel = to + static_cast<size_t>(p) * m.panel_bytes();
      pack_panel(codes.data<uint8_t>(), layout, p * kPanel, panel);
      for (size_t i = 0; is_unsigned && i < m.panel_bytes(); ++i) panel[i] ^= 0x80;
    }
  });
  return m;
}

PackedMatrix PackedMatrix::table(const uint8_t* codes, int bits, const MatrixLayout& layout,
                                 const std::vector<float>& tables, const BlockQuantization& q) {
  PackedMatrix m(Form::Table, layout);
  const auto groups = static_cast<int64_t>(tables.size()) / 16;
  CHECK(bits >= 1 && bits <= 4 && groups >= 1 && (groups == 1 || (layout.n % groups == 0 && layout.n / groups % 16 == 0)) &&
        fits(layout, q));
  m.tables_.resize(static_cast<size_t>(m.panels() * kPanel));
  for (int64_t half = 0; half < m.panels() * 2; ++half) {
    const int64_t column = std::min(half * 16, layout.n - 1), group = column / (layout.n / groups);
    std::copy_n(tables.begin() + group * 16, 16, m.tables_.begin() + half * 16);
  }
  m.pack_scales(q);
  m.codes_ = Tensor::make(DType::U8, {m.panels() * static_cast<int64_t>(m.panel_bytes())});
  std::byte* to = m.codes_.mutable_data();
  parallel_for(m.panels(), kGrain / (layout.k * kPanel), [&](int64_t first, int64_t last) {
    for (int64_t p = first; p < last; ++p)
      pack_words(codes, bits, layout, p * kPanel,
                 reinterpret_cast<uint32_t*>(to + static_cast<size_t>(p) * m.panel_bytes()));
  });
  return m;
}

void PackedMatrix::pack_scales(const BlockQuantization& q) {
  if (!q.scale.storage) return;
  block_ = k_ / q.layout.k;
  const int64_t columns = n_ / q.layout.n;  // that share a scale
  scale_ = Tensor::make(q.scale.dtype, {panels() * q.layout.k * kPanel});
  const bool zeros = std::any_of(q.zero.begin(), q.zero.end(), [](float z) { return z != 0; });
  if (zeros) zero_.resize(static_cast<size_t>(scale_.elements()));
  const auto bytes = static_cast<size_t>(byte_size(q.scale.dtype, 1));
  size_t to = 0;
  for (int64_t p = 0; p < panels(); ++p)
    for (int64_t b = 0; b < q.layout.k; ++b)
      for (int64_t j = 0; j < kPanel; ++j, ++to) {
        const int64_t n = std::min(p * kPanel + j, n_ - 1);  // what stands past the last column is never stored
        const auto from = static_cast<size_t>(b * q.layout.k_step + n / columns * q.layout.n_step);
        std::memcpy(scale_.mutable_data() + to * bytes, q.scale.data() + from * bytes, bytes);
        if (zeros) zero_[to] = q.zero[from];
      }
}

CodedPanel PackedMatrix::coded(int64_t index) const {
  const int64_t at = index * (k_ / std::max<int64_t>(block_, 1)) * kPanel;
  const bool half = scale_.dtype == DType::F16;
  const std::byte* scale = scale_.storage ? scale_.data() + static_cast<size_t>(byte_size(scale_.dtype, at)) : nullptr;
  return {panel(index), tables_.empty() ? nullptr : tables_.data() + index * kPanel,
          scale,        zero_.empty() ? nullptr : zero_.data() + at,
          block_,       half};
}

}  // namespace cortland::engine::gemm
