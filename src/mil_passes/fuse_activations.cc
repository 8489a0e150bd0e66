// Activations that models spell out, as the one op that MIL has for them.
#include <cmath>
#include <numbers>

#include "mil_passes/algebra.h"
#include "mil_passes/pipeline.h"

namespace cortland::mil_passes {
namespace {

// 1 + f(...): the op f, else none.
mil::OpId one_plus(const Rewriter& r, Operand o, std::string_view f) {
  if (!r.has_one_use(o)) return {};
  const Sum s = sum_of(r, o);
  if (s.offset != 1 || s.terms.size() != 1 || s.terms[0].coefficient != 1 || !r.has_one_use(s.terms[0].value)) return {};
  return r.producer(s.terms[0].value, f);
}

Result<bool> replace_by(Rewriter& r, mil::OpId id, std::string_view op, std::vector<mil::NamedOperand> inputs) {
  TRY(const Operand made, r.emit(id, op, std::move(inputs)));
  return r.replace(id, made);
}

Operand number(Rewriter& r, float v, Operand like) { return r.program.constant(v, r.type(like).dtype()); }

// x * 0.5 * (1 + erf(x / sqrt 2))
Result<bool> fuse_gelu_exact(Rewriter& r, mil::OpId id) {
  const Product p = product_of(r, r.result(id));
  if (p.factors.size() != 2 || !near(p.scale, 0.5, r.type(r.result(id)).dtype())) return false;
  for (size_t i : {0u, 1u}) {
    const Operand x = p.factors[1 - i];
    const mil::OpId erf = one_plus(r, p.factors[i], "erf");
    if (!erf) continue;
    const Product inner = product_of(r, r.input(erf, "x"));
    if (!inner.is_power(x, 1) || !near(inner.scale, std::numbers::sqrt2 / 2, r.type(x).dtype())) continue;
    return replace_by(r, id, "gelu", {{"x", x}, {"mode", r.program.constant(std::string("EXACT"))}});
  }
  return false;
}

// x + 0.044715 x^3
bool is_gelu_polynomial(const Rewriter& r, Operand o, Operand x) {
  const Sum s = sum_of(r, o);
  if (s.offset != 0 || s.terms.size() != 2) return false;
  for (size_t i : {0u, 1u}) {
    if (s.terms[1 - i].value != x || s.terms[1 - i].coefficient != 1) continue;
    const Product cube = product_of(r, s.terms[i].value);
    if (cube.is_power(x, 3) && near(cube.scale * s.terms[i].coefficient, 0.044715, r.type(x).dtype())) return true;
  }
  return false;
}

// x * 0.5 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))
Result<bool> fuse_gelu_tanh(Rewriter& r, mil::OpId id) {
  const Product p = product_of(r, r.result(id));
  if (p.factors.size() != 2 || !near(p.scale, 0.5, r.type(r.result(id)).dtype())) return false;
  for (size_t i : {0u, 1u}) {
    const Operand x = p.factors[1 - i];
    const mil::OpId tanh = one_plus(r, p.factors[i], "tanh");
    if (!tanh) continue;
    const Product inner = product_of(r, r.input(tanh, "x"));
    if (inner.factors.size() != 1 || !near(inner.scale, std::sqrt(2 / std::numbers::pi), r.type(x).dtype())) continue;
    if (!is_gelu_polynomial(r, inner.factors[0], x)) continue;
    return replace_by(r, id, "gelu", {{"x", x}, {"mode", r.program.constant(std::string("TANH_APPROXIMATION"))}});
  }
  return false;
}

// x * sigmoid(x)
Result<bool> fuse_silu(Rewriter& r, mil::OpId id) {
  for (const auto& [a, b] : {std::pair{"x", "y"}, {"y", "x"}}) {
    const Operand x = r.input(id, a), gate = r.input(id, b);
    const mil::OpId sigmoid = r.producer(gate, "sigmoid");
    if (sigmoid && r.has_one_use(gate) && r.input(sigmoid, "x") == x) return replace_by(r, id, "silu", {{"x", x}});
  }
  return false;
}

// x * min(max(x + 3, 0), 6) / 6, as x * sigmoid_hard(x)
Result<bool> fuse_hardswish(Rewriter& r, mil::OpId id) {
  const Product p = product_of(r, r.result(id));
  if (p.factors.size() != 2 || !near(p.scale, 1.0 / 6, r.type(r.result(id)).dtype())) return false;
  for (size_t i : {0u, 1u}) {
    const Operand x = p.factors[1 - i], gate = p.factors[i];
    const mil::OpId relu6 = r.producer(gate, "relu6"), clip = r.producer(gate, "clip");
    if (!r.has_one_use(gate) || (!relu6 && !clip)) continue;
    if (clip && (r.splat(r.input(clip, "alpha")) != 0.0f || r.splat(r.input(clip, "beta")) != 6.0f)) continue;
    const Operand inner = r.input(relu6 ? relu6 : clip, "x");
    const Sum s = sum_of(r, inner);
    if (!r.has_one_use(inner) || s.offset != 3 || s.terms.size() != 1 || s.terms[0].value != x ||
        s.terms[0].coefficient != 1)
      continue;
    TRY(const Operand hard,
        r.emit(id, "sigmoid_hard", {{"x", x}, {"alpha", number(r, 1.0f / 6, x)}, {"beta", number(r, 0.5f, x)}}));
    return replace_by(r, id, "mul", {{"x", x}, {"y", hard}});
  }
  return false;
}

// max(x, slope * x) for a slope between 0 and 1
Result<bool> fuse_leaky_relu(Rewriter& r, mil::OpId id) {
  for (const auto& [a, b] : {std::pair{"x", "y"}, {"y", "x"}}) {
    const Operand x = r.input(id, a), scaled = r.input(id, b);
    if (!x.is_value() || !r.has_one_use(scaled) || !is_float(r.type(x).dtype())) continue;
    const Product p = product_of(r, scaled);
    if (!p.is_power(x, 1) || !(p.scale >= 0 && p.scale < 1) || r.producer(scaled) == r.producer(x)) continue;
    return replace_by(r, id, "leaky_relu", {{"x", x}, {"alpha", number(r, p.scale, x)}});
  }
  return false;
}

// relu(relu(x)), relu(relu6(x)), relu(sigmoid(x)): what is not negative stays.
Result<bool> drop_second_relu(Rewriter& r, mil::OpId id) {
  const Operand x = r.input(id, "x");
  for (const char* first : {"relu", "relu6", "sigmoid", "sigmoid_hard", "softmax"})
    if (r.producer(x, first)) return r.replace(id, x);
  return false;
}

constexpr Rule kGeluExact[] = {{"mul", fuse_gelu_exact}, {"real_div", fuse_gelu_exact}};
constexpr Rule kGeluTanh[] = {{"mul", fuse_gelu_tanh}, {"real_div", fuse_gelu_tanh}};
constexpr Rule kSilu[] = {{"mul", fuse_silu}};
constexpr Rule kHardswish[] = {{"mul", fuse_hardswish}, {"real_div", fuse_hardswish}};
constexpr Rule kLeakyRelu[] = {{"maximum", fuse_leaky_relu}};
constexpr Rule kRelus[] = {{"relu", drop_second_relu}};

}  // namespace

Status fuse_gelu_exact(mil::Program& program) { return rewrite(program, kGeluExact); }
Status fuse_gelu_tanh_approximation(mil::Program& program) { return rewrite(program, kGeluTanh); }
Status fuse_silu(mil::Program& program) { return rewrite(program, kSilu); }
Status fuse_hardswish(mil::Program& program) { return rewrite(program, kHardswish); }
Status fuse_leaky_relu(mil::Program& program) { return rewrite(program, kLeakyRelu); }
Status merge_consecutive_relus(mil::Program& program) { return rewrite(program, kRelus); }

}  // namespace cortland::mil_passes
