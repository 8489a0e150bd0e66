#include "torch_passes/complex_math.h"

#include <cmath>

namespace cortland::torch_passes {
namespace {

using V = Steps::V;

const V* tensor(const Part& p) { return p.as<V>(); }

double number(const Part& p) {
  if (const auto* f = p.as<double>()) return *f;
  if (const auto* i = p.as<int64_t>()) return static_cast<double>(*i);
  if (const auto* b = p.as<bool>()) return *b ? 1 : 0;
  return 0;
}

Part unary(Steps& s, const char* op, const Part& a) { return s.unary(op, *tensor(a)); }

}  // namespace

Part add(Steps& s, const Part& a, const Part& b) {
  if (a.is_none()) return b;
  if (b.is_none()) return a;
  if (tensor(a)) return s.add(*tensor(a), b);
  if (tensor(b)) return s.add(*tensor(b), a);
  return number(a) + number(b);
}

Part subtract(Steps& s, const Part& a, const Part& b) {
  if (b.is_none()) return a;
  if (tensor(a)) return s.sub(*tensor(a), b);
  if (tensor(b)) return add(s, unary(s, "neg", b), a);
  return number(a) - number(b);
}

Part multiply(Steps& s, const Part& a, const Part& b) {
  if (a.is_none() || b.is_none()) return {};
  if (tensor(a)) return s.mul(*tensor(a), b);
  if (tensor(b)) return s.mul(*tensor(b), a);
  return number(a) * number(b);
}

Part divide(Steps& s, const Part& a, const Part& b) {
  if (a.is_none()) return {};
  if (tensor(a)) return s.div(*tensor(a), b);
  if (tensor(b)) return s.mul(s.unary("reciprocal", *tensor(b)), a);
  return number(a) / number(b);
}

Parts add(Steps& s, const Parts& a, const Parts& b) { return {add(s, a.re, b.re), add(s, a.im, b.im)}; }
Parts subtract(Steps& s, const Parts& a, const Parts& b) { return {subtract(s, a.re, b.re), subtract(s, a.im, b.im)}; }

Parts multiply(Steps& s, const Parts& a, const Parts& b) {
  return {subtract(s, multiply(s, a.re, b.re), multiply(s, a.im, b.im)),
          add(s, multiply(s, a.re, b.im), multiply(s, a.im, b.re))};
}

Parts divide(Steps& s, const Parts& a, const Parts& b) {
  if (b.im.is_none()) return {divide(s, a.re, b.re), divide(s, a.im, b.re)};
  const Part length = squared_length(s, b);
  const Parts above = multiply(s, a, conjugate(s, b));
  return {divide(s, above.re, length), divide(s, above.im, length)};
}

Parts conjugate(Steps& s, const Parts& a) { return {a.re, subtract(s, {}, a.im)}; }

Parts exponential(Steps& s, const Parts& a) {
  if (a.im.is_none()) return {unary(s, "exp", a.re), {}};
  return polar(s, a.re.is_none() ? Part(1.0) : unary(s, "exp", a.re), a.im);
}

Part squared_length(Steps& s, const Parts& a) { return add(s, multiply(s, a.re, a.re), multiply(s, a.im, a.im)); }

Part length(Steps& s, const Parts& a) {
  if (a.im.is_none()) return unary(s, "abs", a.re);
  if (a.re.is_none()) return unary(s, "abs", a.im);
  return unary(s, "sqrt", squared_length(s, a));
}

Part angle(Steps& s, const Parts& a) {
  const V shaped = tensor(a.re) ? *tensor(a.re) : *tensor(a.im);
  const V re = tensor_of(s, a.re, s.type(shaped)), im = tensor_of(s, a.im, s.type(shaped));
  return s.d.op("aten.atan2.default", {{"self", im}, {"other", re}}, s.type(re));
}

Parts polar(Steps& s, const Part& length, const Part& angle) {
  return {multiply(s, unary(s, "cos", angle), length), multiply(s, unary(s, "sin", angle), length)};
}

Parts logarithm(Steps& s, const Parts& a) { return {unary(s, "log", length(s, a)), angle(s, a)}; }

Parts square_root(Steps& s, const Parts& a) { return polar(s, unary(s, "sqrt", length(s, a)), multiply(s, angle(s, a), 0.5)); }

V tensor_of(Steps& s, const Part& part, const TensorType& type) {
  if (const V* v = tensor(part)) return s.expand(s.cast(*v, type.dtype), type.shape);
  return s.full(type.shape, number(part), type.dtype);
}

}  // namespace cortland::torch_passes
