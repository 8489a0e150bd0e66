// Products with a packed matrix: who computes which panel for which rows, and in which form the panel meets them.
#include <algorithm>
#include <cstring>

#include "engine/gemm/packed_matrix.h"
#include "engine/threads.h"

namespace cortland::engine::gemm {
namespace {

constexpr int64_t kFewRows = 4;        // up to here each row streams the panel's codes
constexpr int64_t kHalfRows = 40;      // up to here rows widen float16 in registers
constexpr int64_t kRowsAtATime = 192;  // of x, so that they stay in the L2 cache from panel to panel
constexpr int64_t kShallow = 128;      // elements of a column decoded at a time for few rows: they stay in the L1 cache
constexpr int64_t kDeep = 1024;        // for many rows, in the L2 cache
constexpr int64_t kPage = 1024;        // elements
constexpr int64_t kAhead = 256 << 10;  // bytes of a panel that are brought in during the one before
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
  thread_local std::vector<float> padded;
  std::vector<float> sums;
  // The row kernels read whole groups; and rows that lie some pages apart share a few lines of the L1 cache.
  const bool in_groups = few && form_ == Form::Table && k_ % kGroup != 0;
  if (in_groups || (!few && x.step % kPage == 0)) {
    call.x.step = (k_ + kGroup - 1) / kGroup * kGroup + (in_groups ? 0 : 16);
    padded.resize(static_cast<size_t>(rows * call.x.step));
    for (int64_t r = 0; r < rows; ++r)
      std::fill_n(std::copy_n(x.data + r * x.step, k_, padded.begin() + r * call.x.step), call.x.step - k_, 0.0f);
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
  const float* bias = call.to.bias ? call.to.bias + column : nullptr;
  for (int64_t r = 0; r < rows; ++r) {
    float* row = y + r * y_row;
    const float* start = call.to.add ? call.to.data + (first_row + r) * call.to.step + column : bias;
    if (start == row) continue;
    if (columns == kPanel && start)
      std::memcpy(row, start, kPanel * sizeof(float));
    else
      std::fill(start ? std::copy_n(start, columns, row) : row, row + kPanel, 0.0f);
  }
  const float* x = call.x.data + first_row * call.x.step;
  const bool coded_rows =
      call.few && ((form_ == Form::Int8 && call.kernels.row_int8) || (form_ == Form::Table && call.kernels.row_table));
  if (form_ == Form::Half && rows <= kHalfRows && call.kernels.multiply_half) {
    call.kernels.multiply_half({x, call.x.step, reinterpret_cast<const uint16_t*>(panel(index)), y, y_row, rows, k_});
  } else if (coded_rows) {
    for (int64_t r = 0; r < rows; ++r) {
      const float* sums = call.sums ? call.sums + (first_row + r) * (k_ / block_) : nullptr;
      (form_ == Form::Int8 ? call.kernels.row_int8 : call.kernels.row_table)(coded(index), x + r * call.x.step, sums, k_,
                                                                             y + r * y_row);
    }
  } else {
    const int64_t step = form_ == Form::Float ? k_ : call.few ? kShallow : kDeep;
    if (form_ != Form::Float) scratch.resize(static_cast<size_t>(step * kPanel));
    for (int64_t k = 0; k < k_; k += step) {
      const int64_t depth = std::min(step, k_ - k);
      const float* b = decode(call, index, k, depth, scratch.data());
      // The same thread goes on with what lies behind: without it the first rows wait for the memory.
      const auto row_bytes = static_cast<int64_t>(panel_bytes()) / k_;
      const std::byte *ahead = panel(index) + (k + depth) * row_bytes, *end = codes_.data() + codes_.bytes();
      const int64_t ahead_bytes = call.few ? 0 : std::min<int64_t>({end - ahead, depth * row_bytes, kAhead});
      call.kernels.multiply({x + k, call.x.step, b, kPanel, y, y_row, rows, depth, ahead, ahead_bytes});
    }
  }
  if (!call.epilogue && columns == kPanel) return;
  for (int64_t r = 0; r < rows; ++r) {
    float* row = y + r * y_row;
    if (call.epilogue) call.epilogue(row, first_row + r, column, columns);
    if (columns < kPanel) std::copy_n(row, columns, call.to.data + (first_row + r) * call.to.step + column);
  }
}

}  // namespace cortland::engine::gemm
