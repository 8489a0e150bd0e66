// softmax(query . key^T * scale + mask) . value, spelled out, as the op that iOS18 has. It divides the scores by
// sqrt(features) itself; what is left of the scale goes to the queries, and from there into what computes them.
#include <cmath>

#include "mil_passes/algebra.h"
#include "mil_passes/pipeline.h"

namespace cortland::mil_passes {
namespace {

struct Attention {
  Operand query, key, value, mask;
  float scale = 1;
};

// scale * (query . key^T)
bool read_scores(const Rewriter& r, Operand scores, Attention& a) {
  if (!r.has_one_use(scores)) return false;
  const Product p = product_of(r, scores);
  if (p.factors.size() != 1) return false;
  const mil::OpId product = r.producer(p.factors[0], "matmul");
  if (!product || !r.has_one_use(p.factors[0]) || r.flag(r.input(product, "transpose_x")) ||
      !r.flag(r.input(product, "transpose_y")))
    return false;
  a.query = r.input(product, "x");
  a.key = r.input(product, "y");
  a.scale = p.scale;
  return true;
}

std::optional<Attention> read_attention(const Rewriter& r, mil::OpId id) {
  Attention a;
  a.value = r.input(id, "y");
  const Operand weights = r.input(id, "x");
  const mil::OpId softmax = r.producer(weights, "softmax");
  if (!softmax || !r.has_one_use(weights) || r.flag(r.input(id, "transpose_x")) || r.flag(r.input(id, "transpose_y")))
    return std::nullopt;
  const int rank = r.type(weights).rank();
  if (axis_of(r.ints(r.input(softmax, "axis"))[0], rank) + 1 != static_cast<size_t>(rank)) return std::nullopt;
  const Operand scores = r.input(softmax, "x");
  if (read_scores(r, scores, a)) return a;
  const mil::OpId sum = r.producer(scores, "add");
  if (!sum || !r.has_one_use(scores)) return std::nullopt;
  for (const auto& [product, mask] : {std::pair{"x", "y"}, {"y", "x"}}) {
    a.mask = r.input(sum, mask);
    // The mask must not be what makes the scores as large as they are.
    if (r.type(r.input(sum, product)) == r.type(scores) && read_scores(r, r.input(sum, product), a)) return a;
  }
  return std::nullopt;
}

bool same_batch(const Shape& a, const Shape& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end() - 2, b.begin());
}

Result<bool> fuse_attention(Rewriter& r, mil::OpId id) {
  const auto a = read_attention(r, id);
  if (!a || !a->query.is_value() || !a->key.is_value() || !a->value.is_value()) return false;
  const Shape &q = r.shape(a->query), &k = r.shape(a->key), &v = r.shape(a->value);
  // Grouped heads in rank 5 and masks of dynamic shape are known to go wrong.
  if (q.size() < 3 || q.size() > 4 || !same_batch(q, k) || !same_batch(q, v) || !q.back().is_constant()) return false;
  if (a->mask && (!r.type(a->mask).tensor.is_static() || r.type(a->mask).rank() > static_cast<int>(q.size()))) return false;
  const DType type = r.type(a->query).dtype();
  const float factor = a->scale * std::sqrt(static_cast<float>(q.back().constant()));
  Operand query = a->query;
  if (!near(factor, 1, type)) {
    TRY(query, r.emit(id, "mul", {{"x", query}, {"y", r.program.constant(factor, type)}}));
  }
  TRY(const Operand y, r.emit(id, "scaled_dot_product_attention",
                              {{"query", query}, {"key", a->key}, {"value", a->value}, {"attn_mask", a->mask}}));
  return r.replace(id, y);
}

constexpr Rule kRules[] = {{"matmul", fuse_attention}};

}  // namespace

Status fuse_attention(mil::Program& program) {
  if (program.target < mil::Target::iOS18) return {};
  return rewrite(program, kRules);
}

}  // namespace cortland::mil_passes
