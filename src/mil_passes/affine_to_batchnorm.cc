// fuse_elementwise_to_batchnorm: x * scale + shift with a number for each channel is what a batch norm computes.
#include "mil_passes/pipeline.h"
#include "mil_passes/rewrite.h"

namespace cortland::mil_passes {
namespace {

// The constant as a vector, when it has one number for each channel of x.
std::optional<Weight> channel_vector(const Rewriter& r, Operand o, const Shape& x) {
  const Weight* w = r.weight(o);
  if (!w || !is_float(w->dtype()) || !x[1].is_constant() || w->elements() != x[1].constant() || w->elements() < 2)
    return std::nullopt;
  const size_t axis = w->shape().size() + 1 - x.size();  // of the channels, in the constant
  if (w->shape().size() + 1 < x.size() || w->shape()[axis] != w->elements()) return std::nullopt;
  return w->reshape({w->elements()});
}

Result<bool> to_batchnorm(Rewriter& r, mil::OpId id) {
  const Operand sum = r.result(id);
  const int rank = r.type(sum).rank();
  if (rank < 3 || rank > 5 || !is_float(r.type(sum).dtype())) return false;
  for (const auto& [a, b] : {std::pair{"x", "y"}, {"y", "x"}}) {
    const Operand scaled = r.input(id, a);
    const mil::OpId product = r.producer(scaled, "mul");
    const auto shift = channel_vector(r, r.input(id, b), r.shape(sum));
    if (!product || !shift || !r.has_one_use(scaled)) continue;
    for (const auto& [c, d] : {std::pair{"x", "y"}, {"y", "x"}}) {
      const Operand x = r.input(product, c);
      const auto scale = channel_vector(r, r.input(product, d), r.shape(sum));
      if (!x.is_value() || !scale || r.type(x) != r.type(sum)) continue;
      const DType type = r.type(x).dtype();
      const auto all = [&](float v) {
        return r.program.constant(std::vector<float>(static_cast<size_t>(scale->elements()), v), type);
      };
      TRY(const Operand y, r.emit(id, "batch_norm",
                                  {{"x", x},
                                   {"mean", all(0)},
                                   {"variance", all(1)},
                                   {"gamma", r.program.constant(*scale)},
                                   {"beta", r.program.constant(*shift)},
                                   {"epsilon", r.program.constant(0.0f, type)}}));
      return r.replace(id, y);
    }
  }
  return false;
}

constexpr Rule kRules[] = {{"add", to_batchnorm}};

}  // namespace

Status fuse_elementwise_to_batchnorm(mil::Program& program) { return rewrite(program, kRules); }

}  // namespace cortland::mil_passes
