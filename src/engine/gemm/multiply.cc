// Products with a packed matrix: who computes which panel for which rows, and in which form the panel meets them.
#include <algorithm>

#include "engine/gemm/packed_matrix.h"
#include "engine/threads.h"

namespace cortland::engine::gemm {
namespace {

constexpr int64_t kFewRows = 4;        // up to here each row streams the panel's own form
constexpr int64_t kRowsAtATime = 192;  // of x, so that they stay in the L2 cache from panel to panel
constexpr int64_t kShallow = 128;      // elements of a column decoded at a time for few rows: they stay in the L1 cache
constexpr int64_t kDeep = 1024;        // for many rows, in the L2 cache
constexpr int64_t kGrain = 1 << 18;    // products below which a thread costs more than it saves

}  // namespace

struct PackedMatrix::Call {
  Rows x;
  Target to;
  const Epilogue& epilogue;
  const MicroKernels& kernels;
  bool few;                     // rows, in the whole product
  const float* sums = nullptr;  // of the blocks of each row
};

void PackedMatrix::multiply(const Rows& x, const Target& to, const Epilogue& epilogue, const MicroKernels& kernels) const {
  const int64_t rows = x.count;
  if (rows == 0 || n_ == 0) return;
  const bool few = rows <= kFewRows;
  Call call{x, to, epilogue, kernels, few};
  std::vector<float> padded, sums;
  // The row kernels read whole groups.
  if (few && form_ == Form::Table && k_ % kGroup != 0) {
    call.x.step = (k_ + kGroup - 1) / kGroup * kGroup;
    padded.assign(static_cast<size_t>(rows * call.x.step), 0.0f);
    for (int64_t r = 0; r < rows; ++r) std::copy_n(x.data + r * x.step, k_, padded.begin() + r * call.x.step);
    call.x.data = padded.data();
  }
  if (few && !zero_.empty()) {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t first = 0; first < k_; first += block_) {
        float sum = 0;
        for (int64_t k = first; k < first + block_; ++k) sum += x.data[r * x.step + k];
        sums.push_back(sum);
      }
    call.sums = sums.data();
  }
  // Few panels: more threads find work when the rows are split as well.
  int64_t step = rows <= kRowsAtATime + kRowsAtATime / 3 ? rows : kRowsAtATime;
  if (panels() < 16 && rows >= 48) step = 24;
  const int64_t row_blocks = (rows + step - 1) / step;
  const int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, k_ * kPanel * std::min(step, rows)));
  parallel_for(row_blocks * panels(), grain, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t row = i / panels() * step;
      run_panel(call, i % panels(), row, std::min(step, rows - row));
    }
  });
}

const float* PackedMatrix::decode(const Call& call, int64_t index, int64_t first, int64_t depth, float* scratch) const {
  switch (form_) {
    case Form::Float:
      return reinterpret_cast<const float*>(panel(index)) + first * kPanel;
    case Form::Half:
      f16_to_f32(reinterpret_cast<const uint16_t*>(panel(index)) + first * kPanel, scratch, depth * kPanel);
      break;
    case Form::Int8:
      call.kernels.decode_int8(coded(index), first, depth, scratch);
      break;
    case Form::Table:
      call.kernels.decode_table(coded(index), first, depth, scratch);
      break;
  }
  return scratch;
}

void PackedMatrix::run_panel(const Call& call, int64_t index, int64_t first_row, int64_t rows) const {
  const int64_t column = index * kPanel, columns = std::min(kPanel, n_ - column);
  thread_local std::vector<float> scratch, edge;
  float* y = call.to.data + first_row * call.to.step + column;
  int64_t y_row = call.to.step;
  if (columns < kPanel) {  // the kernels store whole panels
    edge.resize(static_cast<size_t>(rows * kPanel));
    y = edge.data();
    y_row = kPanel;
  }
  const float* bias = call.to.bias;
  for (int64_t r = 0; r < rows; ++r) {
    float* row = y + r * y_row;
    const float* start = call.to.add ? call.to.data + (first_row + r) * call.to.step + column
                         : bias      ? bias + column
                                     : nullptr;
    if (start != row) std::fill(start ? std::copy_n(start, columns, row) : row, row + kPanel, 0.0f);
  }
  const float* x = call.x.data + first_row * call.x.step;
  const bool own_form =
      call.few && ((form_ == Form::Half && call.kernels.row_half) || (form_ == Form::Int8 && call.kernels.row_int8) ||
                   (form_ == Form::Table && call.kernels.row_table));
  if (own_form) {
    for (int64_t r = 0; r < rows; ++r) {
      Call one = call;
      if (call.sums) one.sums = call.sums + (first_row + r) * (k_ / block_);
      run_row(one, index, x + r * call.x.step, y + r * y_row);
    }
  } else {
    const int64_t step = form_ == Form::Float ? k_ : call.few ? kShallow : kDeep;
    if (form_ != Form::Float) scratch.resize(static_cast<size_t>(step * kPanel));
    for (int64_t k = 0; k < k_; k += step) {
      const int64_t depth = std::min(step, k_ - k);
      const float* b = decode(call, index, k, depth, scratch.data());
      call.kernels.multiply({x + k, call.x.step, b, kPanel, y, y_row, rows, depth});
    }
  }
  for (int64_t r = 0; r < rows; ++r) {
    float* row = y + r * y_row;
    if (call.epilogue) call.epilogue(row, first_row + r, column, columns);
    if (columns < kPanel) std::copy_n(row, columns, call.to.data + (first_row + r) * call.to.step + column);
  }
}

void PackedMatrix::run_row(const Call& call, int64_t index, const float* x, float* y) const {
  switch (form_) {
    case Form::Half:
      return call.kernels.row_half(reinterpret_cast<const uint16_t*>(panel(index)), x, k_, y);
    case Form::Int8:
      return call.kernels.row_int8(coded(index), x, call.sums, k_, y);
    case Form::Table:
      return call.kernels.row_table(coded(index), x, call.sums, k_, y);
    case Form::Float:
      break;
  }
}

}  // namespace cortland::engine::gemm
