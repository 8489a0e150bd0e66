// scaled_dot_product_attention: softmax(query . key^T / sqrt(E) + mask) . value, for some rows of one head at a time, whose
// scores stay in cache. Keys are turned into panels; few queries read them, and all read the values, as they lie. Keys and
// values may have fewer heads than queries: neighbouring heads share one (heads.h), and their queries are rows of one product.
// What lies behind the last key that a row may see is not read.
#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/gemm/kernels.h"
#include "engine/gemm/micro_kernels.h"
#include "engine/simd/functions.h"
#include "engine/threads.h"

namespace cortland::engine::gemm {
namespace {

using mil::Tensor;
using Shape = std::vector<int64_t>;

constexpr int64_t kFewQueries = 3;   // up to here dot products beat panels
constexpr int64_t kQueries = 48;     // at a time
constexpr int64_t kGrain = 1 << 16;  // products below which a thread costs more than it saves
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The operands, [heads, rows, width] each. Those heads are of keys and values; each has the queries of `group` heads.
struct Sizes {
  int64_t heads = 1, group = 1, queries, width, keys, out_width;
  int64_t rows() const { return group * queries; }
};

// Reads a mask as if it had the shape [*batch, queries, keys].
class Mask {
 public:
  // False when it does not broadcast.
  bool read(const Tensor& mask, const Shape& scores) {
    if (mask.shape.size() > scores.size()) return false;
    boolean_ = mask.dtype == DType::Bool;
    mask_ = mask.cast(DType::F32);
    strides_.assign(scores.size(), 0);
    scores_ = scores;
    int64_t stride = 1;
    for (size_t i = mask.shape.size(); i-- > 0;) {
      const size_t axis = scores.size() - mask.shape.size() + i;
      if (mask.shape[i] != 1 && mask.shape[i] != scores[axis]) return false;
      if (mask.shape[i] != 1) strides_[axis] = stride;
      stride *= mask.shape[i];
    }
    return true;
  }

  // How many keys there are up to the last one that the query may see, of `keys`; at least 1.
  int64_t visible(int64_t keys, int64_t head, int64_t query) const {
    if (!mask_.storage) return keys;
    const float *mask = row(head, query), hidden = boolean_ ? 0 : -kInfinity;
    while (keys > 1 && mask[(keys - 1) * strides_.back()] == hidden) --keys;
    return keys;
  }

  // Adds the row to the first `count` scores; where all of them are masked out, they become zeros and the answer is true.
  bool add_to(float* scores, int64_t count, int64_t head, int64_t query) const {
    if (!mask_.storage) return false;
    const float* mask = row(head, query);
    const int64_t step = strides_.back();
    float high = -kInfinity;
    for (int64_t i = 0; i < count; ++i) {
      scores[i] = !boolean_ ? scores[i] + mask[i * step] : mask[i * step] == 0 ? -kInfinity : scores[i];
      high = std::max(high, scores[i]);
    }
    if (high != -kInfinity) return false;
    std::fill_n(scores, count, 0.0f);
    return true;
  }

 private:
  const float* row(int64_t head, int64_t query) const {
    const size_t rank = scores_.size();
    int64_t offset = query * strides_[rank - 2];
    for (size_t axis = rank - 2; axis-- > 0; head /= scores_[axis]) offset += head % scores_[axis] * strides_[axis];
    return mask_.data<float>() + offset;
  }

  Tensor mask_;
  bool boolean_ = false;
  Shape scores_, strides_;
};

// Kept by each thread: buffers of this size would come from the system, page by page.
struct Buffers {
  std::vector<float> scaled, panels, edge, scores, sums;
};
Buffers& buffers() {
  thread_local Buffers buffers;
  return buffers;
}

// What one thread works with.
class Worker {
 public:
  Worker(const Sizes& s, const Mask& mask) : s_(s), mask_(mask), padded_(whole_panels(s.keys)) {}

  void run(const float* q, const float* k, const float* v, int64_t head, int64_t first, int64_t rows, float* out) {
    k += head * s_.keys * s_.width;
    v += head * s_.keys * s_.out_width;
    if (head != head_) head_ = head, packed_ = edged_ = 0;
    int64_t keys = 1;
    const auto head_of = [&](int64_t r) { return head * s_.group + (first + r) / s_.queries; };
    const auto query_of = [&](int64_t r) { return (first + r) % s_.queries; };
    for (int64_t r = 0; r < rows && keys < s_.keys; ++r)
      keys = std::max(keys, mask_.visible(s_.keys, head_of(r), query_of(r)));
    scaled_.assign(q + (head * s_.rows() + first) * s_.width, q + (head * s_.rows() + first + rows) * s_.width);
    const float scale = static_cast<float>(1 / std::sqrt(static_cast<double>(s_.width)));
    for (float& x : scaled_) x *= scale;
    scores_.assign(static_cast<size_t>(rows * padded_), 0.0f);
    score(k, rows, keys);
    for (int64_t r = 0; r < rows; ++r) {
      float* row = scores_.data() + r * padded_;
      if (!mask_.add_to(row, keys, head_of(r), query_of(r))) simd::functions().softmax_row(row, row, keys);
    }
    sum_values(v, rows, keys, out + (head * s_.rows() + first) * s_.out_width);
  }

 private:
  static int64_t whole_panels(int64_t keys) { return (keys + kPanel - 1) / kPanel * kPanel; }

  void score(const float* k, int64_t rows, int64_t keys) {
    if (s_.rows() <= kFewQueries) {
      for (int64_t r = 0; r < rows; ++r)
        kernels_.dots(scaled_.data() + r * s_.width, k, s_.width, keys, s_.width, scores_.data() + r * padded_);
      return;
    }
    pack_keys(k, keys);
    for (int64_t key = 0; key < keys; key += kPanel)
      kernels_.multiply({scaled_.data(), s_.width, panels_.data() + key * s_.width, kPanel, scores_.data() + key, padded_,
                         rows, s_.width});
  }

  // From those on that are packed already.
  void pack_keys(const float* k, int64_t keys) {
    panels_.resize(std::max(panels_.size(), static_cast<size_t>(padded_ * s_.width)));
    for (; packed_ < keys; packed_ += kPanel) {
      const int64_t count = std::min(kPanel, s_.keys - packed_);
      float* to = panels_.data() + packed_ * s_.width;
      if (count < kPanel) std::fill_n(to, kPanel * s_.width, 0.0f);
      simd::functions().transpose(reinterpret_cast<const uint32_t*>(k + packed_ * s_.width), s_.width,
                                  reinterpret_cast<uint32_t*>(to), kPanel, count, s_.width);
    }
  }

  // The columns of the values that fill no panel.
  void pack_edge(const float* v, int64_t keys) {
    const int64_t whole = s_.out_width / kPanel * kPanel, count = s_.out_width - whole;
    edge_.resize(std::max(edge_.size(), static_cast<size_t>(s_.keys * kPanel)));
    for (; edged_ < keys; ++edged_)
      std::fill_n(std::copy_n(v + edged_ * s_.out_width + whole, count, edge_.begin() + edged_ * kPanel), kPanel - count, 0.0f);
  }

  void sum_values(const float* v, int64_t rows, int64_t keys, float* out) {
    const int64_t whole = s_.out_width / kPanel * kPanel, rest = s_.out_width - whole;
    std::fill_n(out, rows * s_.out_width, 0.0f);
    for (int64_t column = 0; column < whole; column += kPanel)
      kernels_.multiply({scores_.data(), padded_, v + column, s_.out_width, out + column, s_.out_width, rows, keys});
    if (rest == 0) return;
    pack_edge(v, keys);
    sums_.assign(static_cast<size_t>(rows * kPanel), 0.0f);
    kernels_.multiply({scores_.data(), padded_, edge_.data(), kPanel, sums_.data(), kPanel, rows, keys});
    for (int64_t r = 0; r < rows; ++r) std::copy_n(sums_.begin() + r * kPanel, rest, out + r * s_.out_width + whole);
  }

  const Sizes& s_;
  const Mask& mask_;
  const MicroKernels& kernels_ = micro_kernels().front();
  int64_t padded_;
  int64_t head_ = -1, packed_ = 0, edged_ = 0;  // of which head how many keys and values are packed
  std::vector<float>&scaled_ = buffers().scaled, &panels_ = buffers().panels, &edge_ = buffers().edge;
  std::vector<float>&scores_ = buffers().scores, &sums_ = buffers().sums;
};

class AttentionKernel final : public Kernel {
 public:
  Status run(KernelContext& c) override {
    const Tensor q = c.tensor("query").cast(DType::F32), k = c.tensor("key").cast(DType::F32),
                 v = c.tensor("value").cast(DType::F32);
    Sizes s;
    Mask mask;
    if (!fits(q, k, v, s)) return run_reference(c, {});
    Shape scores = q.shape;
    scores.back() = s.keys;
    if (c.has("attn_mask") && !mask.read(c.tensor("attn_mask"), scores)) return run_reference(c, {});
    Shape shape = q.shape;
    shape.back() = s.out_width;
    Tensor out = Tensor::make(DType::F32, std::move(shape));
    const int64_t blocks = (s.rows() + kQueries - 1) / kQueries;
    const int64_t products = std::min(s.rows(), kQueries) * s.keys * (s.width + s.out_width);
    parallel_for(s.heads * blocks, std::max<int64_t>(1, kGrain / products), [&](int64_t first, int64_t last) {
      Worker worker(s, mask);
      for (int64_t i = first; i < last; ++i) {
        const int64_t row = i % blocks * kQueries;
        worker.run(q.data<float>(), k.data<float>(), v.data<float>(), i / blocks, row, std::min(kQueries, s.rows() - row),
                   out.mutable_data<float>());
      }
    });
    c.set_output(0, out.cast(c.result_types[0].dtype()));
    return {};
  }

 private:
  // What does not fit, or is empty, is left to the reference kernel.
  static bool fits(const Tensor& q, const Tensor& k, const Tensor& v, Sizes& s) {
    if (q.rank() < 3 || k.rank() != q.rank() || v.rank() != q.rank()) return false;
    for (int axis = 0; axis + 2 < q.rank(); ++axis) {
      const bool shared = axis + 3 == q.rank() && k.dim(axis) > 0 && q.dim(axis) % k.dim(axis) == 0;
      if ((q.dim(axis) != k.dim(axis) && !shared) || k.dim(axis) != v.dim(axis)) return false;
      s.heads *= k.dim(axis);
      if (shared) s.group = q.dim(axis) / k.dim(axis);
    }
    s.queries = q.dim(-2), s.width = q.dim(-1), s.keys = k.dim(-2), s.out_width = v.dim(-1);
    return k.dim(-1) == s.width && v.dim(-2) == s.keys && q.elements() && k.elements() && v.elements();
  }
};

}  // namespace

std::unique_ptr<Kernel> make_attention(const Site& site) {
  for (const char* input : {"query", "key", "value"})
    if (!is_float(site.type(input).dtype())) return nullptr;
  return std::make_unique<AttentionKernel>();
}

}  // namespace cortland::engine::gemm
