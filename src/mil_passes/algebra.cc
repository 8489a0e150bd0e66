#include "mil_passes/algebra.h"

#include <cmath>

namespace cortland::mil_passes {
namespace {

constexpr int kDeepest = 8;

void multiply(const Rewriter& r, Operand o, bool inside, int depth, Product& p) {
  if (const auto c = r.splat(o)) {
    p.scale *= *c;
    return;
  }
  const mil::OpId id = r.producer(o);
  const bool open = id && depth < kDeepest && (!inside || r.has_one_use(o));
  const auto into = [&](std::string_view input) { multiply(r, r.input(id, input), true, depth + 1, p); };
  if (open && r.is(id, "mul")) {
    into("x");
    into("y");
  } else if (open && r.is(id, "real_div") && r.splat(r.input(id, "y")).value_or(0) != 0) {
    p.scale /= *r.splat(r.input(id, "y"));
    into("x");
  } else if (open && r.is(id, "square")) {
    p.factors.insert(p.factors.end(), 2, r.input(id, "x"));
  } else if (const auto exponent = open && r.is(id, "pow") ? r.splat(r.input(id, "y")) : std::nullopt;
             exponent && (*exponent == 2 || *exponent == 3)) {
    p.factors.insert(p.factors.end(), static_cast<size_t>(*exponent), r.input(id, "x"));
  } else {
    p.factors.push_back(o);
  }
}

void add(const Rewriter& r, Operand o, float sign, bool inside, int depth, Sum& s) {
  if (const auto c = r.splat(o)) {
    s.offset += sign * *c;
    return;
  }
  const mil::OpId id = r.producer(o);
  const bool open = id && depth < kDeepest && (!inside || r.has_one_use(o));
  if (open && (r.is(id, "add") || r.is(id, "sub"))) {
    add(r, r.input(id, "x"), sign, true, depth + 1, s);
    add(r, r.input(id, "y"), r.is(id, "sub") ? -sign : sign, true, depth + 1, s);
  } else {
    s.terms.push_back({sign, o});
  }
}

}  // namespace

Product product_of(const Rewriter& r, Operand root) {
  Product p;
  multiply(r, root, false, 0, p);
  return p;
}

Sum sum_of(const Rewriter& r, Operand root) {
  Sum s;
  add(r, root, 1, false, 0, s);
  return s;
}

bool near(float a, double b, DType type) { return std::abs(a - b) <= (type == DType::F16 ? 1e-3 : 1e-5) * std::abs(b); }

}  // namespace cortland::mil_passes
