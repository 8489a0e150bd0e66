// softmax(query . key^T / sqrt(E) + mask) . value, over the last two axes.
#include <algorithm>
#include <cmath>
#include <limits>

#include "mil_ops/arguments.h"
#include "mil_ops/matrix.h"
#include "mil_ops/ops.h"
#include "mil_ops/strided.h"

namespace cortland::mil_ops {
namespace {

using namespace mil;

template <class Context>
Result<Shape> attention_shape(const Context& c, const DimTable& dims) {
  const Shape q = shape_of_input(c, "query"), k = shape_of_input(c, "key"), v = shape_of_input(c, "value");
  const size_t rank = q.size();
  if (rank < 3 || k.size() != rank || v.size() != rank)
    return c.error(fmt::format("query, key and value have ranks {}, {} and {}, expected one rank of at least 3", rank,
                               k.size(), v.size()));
  for (size_t i = 0; i + 2 < rank; ++i)
    if (!compatible(dims, q[i], k[i]) || !compatible(dims, q[i], v[i]) || !compatible(dims, k[i], v[i]))
      return c.error(fmt::format("query {}, key {} and value {} differ in a batch axis", describe(dims, q),
                                 describe(dims, k), describe(dims, v)));
  if (!compatible(dims, q[rank - 1], k[rank - 1]) || !compatible(dims, k[rank - 2], v[rank - 2]))
    return c.error(fmt::format("query {}, key {} and value {} do not go together", describe(dims, q), describe(dims, k),
                               describe(dims, v)));
  if (c.has("attn_mask")) {
    Shape scores = q;
    scores[rank - 1] = k[rank - 2];
    const Shape mask = shape_of_input(c, "attn_mask");
    bool fits = mask.size() <= rank;
    for (size_t i = 0; fits && i < mask.size(); ++i)
      fits = compatible(dims, mask[mask.size() - 1 - i], 1) ||
             compatible(dims, mask[mask.size() - 1 - i], scores[rank - 1 - i]);
    if (!fits) return c.error(fmt::format("mask {} does not broadcast to {}", describe(dims, mask), describe(dims, scores)));
  }
  Shape out = q;
  out[rank - 1] = v[rank - 1];
  return out;
}

Types infer_attention(InferContext& c) {
  TRY(Shape out, attention_shape(c, c.dims));
  return one({c.dtype("query"), std::move(out)});
}

// Where the rows of a mask lie, read as if it had the shape of the scores [*B, L, S].
class MaskRows {
 public:
  MaskRows(const EvalContext& c, const Sizes& scores) {
    if (!c.has("attn_mask")) return;
    const Tensor& mask = c.tensor("attn_mask");
    boolean_ = mask.dtype == DType::Bool;
    mask_ = mask.cast(DType::F32);
    const Sizes strides = broadcast_strides(mask.shape, scores);
    step_ = strides.back();
    Sizes rows(scores.begin(), scores.end() - 1);
    offsets_ = {0};
    for (size_t i = 0; i < rows.size(); ++i) {
      Sizes next;
      next.reserve(offsets_.size() * static_cast<size_t>(rows[i]));
      for (int64_t base : offsets_)
        for (int64_t k = 0; k < rows[i]; ++k) next.push_back(base + k * strides[i]);
      offsets_ = std::move(next);
    }
  }

  void add_to(float* scores, int64_t row, int64_t count) const {
    if (offsets_.empty()) return;
    const float* mask = mask_.data<float>() + offsets_[static_cast<size_t>(row)];
    if (boolean_) {
      for (int64_t i = 0; i < count; ++i)
        if (mask[i * step_] == 0) scores[i] = -std::numeric_limits<float>::infinity();
    } else {
      for (int64_t i = 0; i < count; ++i) scores[i] += mask[i * step_];
    }
  }

 private:
  Tensor mask_;
  bool boolean_ = false;
  int64_t step_ = 0;
  Sizes offsets_;  // of each row; empty without a mask
};

// A row that is masked out completely becomes zeros, as in PyTorch.
void softmax(float* row, int64_t count) {
  float high = -std::numeric_limits<float>::infinity();
  bool masked = true;
  for (int64_t i = 0; i < count; ++i) {
    high = std::max(high, row[i]);
    masked = masked && row[i] == -std::numeric_limits<float>::infinity();
  }
  if (masked) return void(std::fill(row, row + count, 0.0f));
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    row[i] = std::exp(row[i] - high);
    sum += static_cast<double>(row[i]);
  }
  const auto scale = static_cast<float>(1 / sum);
  for (int64_t i = 0; i < count; ++i) row[i] *= scale;
}

Status eval_attention(EvalContext& c) {
  TRY(const Shape shape, attention_shape(c, DimTable()));
  const Tensor q = c.tensor("query").cast(DType::F32), k = c.tensor("key").cast(DType::F32),
               v = c.tensor("value").cast(DType::F32);
  const int64_t queries = q.dim(-2), width = q.dim(-1), keys = k.dim(-2), out_width = v.dim(-1);
  const int64_t batches = product(q.shape, 0, q.shape.size() - 2);
  Sizes score_shape = q.shape;
  score_shape.back() = keys;
  const MaskRows mask(c, score_shape);
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(width)));
  Tensor out = Tensor::make(DType::F32, sizes(shape));
  std::fill_n(out.mutable_data<float>(), out.elements(), 0.0f);
  constexpr int64_t kRows = 32;                  // queries at a time, so that their scores stay in cache
  const int64_t padded = (keys + 15) / 16 * 16;  // whole vectors
  std::vector<float> transposed(static_cast<size_t>(width * padded)), scores(static_cast<size_t>(kRows * padded));
  for (int64_t b = 0; b < batches; ++b) {
    const float* key = k.data<float>() + b * keys * width;
    for (int64_t s = 0; s < keys; ++s)
      for (int64_t e = 0; e < width; ++e) transposed[static_cast<size_t>(e * padded + s)] = key[s * width + e];
    for (int64_t first = 0; first < queries; first += kRows) {
      const int64_t rows = std::min(kRows, queries - first);
      std::fill(scores.begin(), scores.end(), 0.0f);
      multiply_add(rows, padded, width, {q.data<float>() + (b * queries + first) * width, width, 1}, transposed.data(),
                   padded, scores.data(), padded);
      for (int64_t r = 0; r < rows; ++r) {
        float* row = scores.data() + r * padded;
        for (int64_t s = 0; s < keys; ++s) row[s] *= scale;
        mask.add_to(row, b * queries + first + r, keys);
        softmax(row, keys);
      }
      multiply_add(rows, out_width, keys, {scores.data(), padded, 1}, v.data<float>() + b * keys * out_width, out_width,
                   out.mutable_data<float>() + (b * queries + first) * out_width, out_width);
    }
  }
  c.set_output(0, out.cast(c.tensor("query").dtype));
  return {};
}

constexpr Input kInputs[] = {value("query", kFloats), value("key", kFloats), value("value", kFloats),
                             optional_value("attn_mask", kFloats | kBools, 'M')};

}  // namespace

const MilOp scaled_dot_product_attention{.name = "scaled_dot_product_attention",
                                         .since = Target::iOS18,
                                         .inputs = kInputs,
                                         .infer = infer_attention,
                                         .eval = eval_attention,
                                         .tol = {.f16 = 5e-3, .f32 = 1e-5}};

}  // namespace cortland::mil_ops
