// The functions of torch.special, and integers' common divisors, in terms of elementary functions.
#include <cmath>
#include <limits>
#include <numbers>
#include <span>
#include <utility>
#include <vector>

#include "torch_ops/decompositions.h"
#include "torch_ops/erfc.h"
#include "torch_ops/erfinv.h"
#include "torch_ops/formula_steps.h"
#include "torch_ops/steps.h"

namespace cortland::torch_ops::decompositions {

using V = Steps::V;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kPi = std::numbers::pi;

// As the type that torch computes in.
V argument(Steps& s, std::string_view name = "self") { return s.cast(s.tensor(name), s.d.result_type().dtype); }


// ---- gamma functions

// log |gamma(x)| for x >= 1/2: a power series around its zeros at 1 and 2, Stirling's series beyond, from 6.5 on.
V log_gamma_right(Steps& s, V x) {
  // (zeta(k) - 1) / k with alternating signs; the first is 1 - Euler's constant.
  constexpr double kSeries[] = {0.422784335,     0.322467033,    -0.0673523011,   0.0205808084,    -0.00738555103,
                                0.00289051033,   -0.00119275391, 0.000509669525,  -0.000223154758, 9.94575128e-05,
                                -4.49262367e-05, 2.05072128e-05, -9.43948828e-06, 4.37486679e-06,  -2.03921575e-06};
  const V first = s.compare("lt", x, 1.5);
  const V near = s.clamp(choose(s, first, s.sub(x, 1.0), s.sub(x, 2.0), x), Steps::Arg(), 0.5);
  const V around = s.sub(s.mul(near, s.polynomial(near, kSeries)), choose(s, first, s.unary("log1p", near), 0.0, x));
  const V low = s.compare("lt", x, 6.5);
  const V from = s.clamp(x, Steps::Arg(), 6.5);
  V product = from;
  for (const double k : {1.0, 2.0, 3.0}) product = s.mul(product, s.add(from, k));
  const V y = choose(s, low, s.add(x, 4.0), x, x), r = inverse(s, y), rr = square(s, r);
  const V correction = s.mul(r, s.polynomial(rr, {1.0 / 12, -1.0 / 360, 1.0 / 1260}));
  const V stirling = s.add(s.sub(s.mul(s.sub(y, 0.5), log(s, y)), y), s.add(correction, 0.5 * std::log(2 * kPi)));
  const V beyond = s.sub(stirling, choose(s, low, log(s, product), 0.0, x));
  return choose(s, s.compare("le", x, 2.5), around, choose(s, s.compare("eq", x, kInfinity), kInfinity, beyond, x), x);
}

// sin(pi x) and cos(pi x), exact at whole numbers.
std::pair<V, V> sin_cos_pi(Steps& s, V x) {
  const V nearest = s.unary("round", x), r = s.mul(s.sub(x, nearest), kPi);
  const V odd = s.compare("ne", s.mul(s.unary("floor", s.mul(nearest, 0.5)), 2.0), nearest);
  const V sine = s.unary("sin", r), cosine = s.unary("cos", r);
  return {choose(s, odd, s.unary("neg", sine), sine, x), choose(s, odd, s.unary("neg", cosine), cosine, x)};
}

V log_gamma(Steps& s, V x) {
  const V left = s.compare("lt", x, 0.5);
  const V right = log_gamma_right(s, choose(s, left, s.sub(s.mul(x, -1.0), -1.0), x, x));
  const V sine = s.unary("abs", sin_cos_pi(s, x).first);
  const V reflected = s.sub(s.sub(s.number(std::log(kPi), s.dtype(x)), log(s, sine)), right);
  const V value = choose(s, left, reflected, right, x);
  return choose(s, s.compare("eq", x, -kInfinity), kInfinity, value, x);
}

// For x >= 1/2: the recurrence up to 6.5, and the asymptotic series.
V digamma_right(Steps& s, V x) {
  V sum = inverse(s, x);
  for (const double k : {1.0, 2.0, 3.0, 4.0, 5.0}) sum = s.add(sum, inverse(s, s.add(x, k)));
  const V y = s.add(x, 6.0), r = inverse(s, y), rr = square(s, r);
  const V series = s.mul(rr, s.polynomial(rr, {-1.0 / 12, 1.0 / 120, -1.0 / 252, 1.0 / 240}));
  return s.sub(s.add(s.sub(log(s, y), s.mul(r, 0.5)), series), sum);
}

V digamma_of(Steps& s, V x) {
  const V left = s.compare("lt", x, 0.5);
  const V right = digamma_right(s, choose(s, left, s.sub(s.mul(x, -1.0), -1.0), x, x));
  const auto [sine, cosine] = sin_cos_pi(s, x);
  const V reflected = s.sub(right, s.div(s.mul(cosine, kPi), sine));
  const V pole = s.both(s.compare("lt", x, 0.0), s.compare("eq", s.unary("floor", x), x));
  return choose(s, pole, kNan, choose(s, left, reflected, right, x), x);
}

// Hurwitz zeta(order, x) for x > 0, by Euler and Maclaurin after nine terms.
V hurwitz_zeta(Steps& s, double order, V x) {
  constexpr int kTerms = 9;
  V sum;
  for (int k = 0; k < kTerms; ++k) {
    const V term = s.pow(s.add(x, static_cast<double>(k)), -order);
    sum = sum ? s.add(sum, term) : term;
  }
  const V y = s.add(x, static_cast<double>(kTerms)), r = inverse(s, y), rr = square(s, r);
  // y^-order (y / (order - 1) + 1 / 2 + order / (12 y) - order (order + 1) (order + 2) / (720 y^3) + ...)
  const double third = order * (order + 1) * (order + 2);
  const V series = s.mul(r, s.polynomial(rr, {order / 12, -third / 720, third * (order + 3) * (order + 4) / 30240}));
  const V tail = s.add(s.add(s.div(y, order - 1), 0.5), series);
  return s.add(sum, s.mul(s.pow(y, -order), tail));
}

// The sum of 1 / (x + k)^order over all whole k: a derivative of pi cot(pi x), which is a polynomial of the cotangent.
V sum_over_whole_numbers(Steps& s, int order, V x) {
  std::vector<double> p = {0, kPi};
  for (int n = 1; n < order; ++n) {  // p(c) -> -pi (1 + c^2) p'(c), and the sign and factor that the power takes
    std::vector<double> next(p.size() + 1);
    for (size_t k = 1; k < p.size(); ++k)
      for (const size_t to : {k - 1, k + 1}) next[to] += static_cast<double>(k) * p[k] * kPi / n;
    p = std::move(next);
  }
  const auto [sine, cosine] = sin_cos_pi(s, x);
  const V whole = s.compare("eq", s.unary("floor", x), x);
  return choose(s, whole, kInfinity, s.polynomial(s.div(cosine, sine), p), x);
}

// ---- errors

// exp(x^2) erfc(x) for x >= 0.
V scaled_erfc_right(Steps& s, V x) {
  const V t = inverse(s, s.add(s.mul(x, 0.5), 1.0));
  V power = s.add(s.mul(t, kErfcTail[0]), kErfcTail[1]);
  for (size_t i = 2; i < kErfcTail.size(); ++i) power = s.add(s.mul(t, power), kErfcTail[i]);
  return s.mul(t, exp(s, power));
}

// factor(w) x is the x that erf takes to `x`, w = -log(1 - x^2).
V inverse_error(Steps& s, V x, V w) {
  const auto horner = [&](V at, const auto& c) {
    V sum = s.add(s.mul(at, c[0]), c[1]);
    for (size_t i = 2; i < c.size(); ++i) sum = s.add(s.mul(sum, at), c[i]);
    return sum;
  };
  const V central = horner(s.sub(w, 2.5), kInverseErrorCentre),
          tail = horner(s.sub(s.unary("sqrt", w), 3.0), kInverseErrorTail);
  const V y = s.mul(choose(s, s.compare("lt", w, 5.0), central, tail, x), x);
  return choose(s, s.compare("eq", s.unary("abs", x), 1.0), s.mul(x, kInfinity), y, x);
}

}  // namespace

Status lgamma(Decomposition& d) {
  Steps s(d);
  return s.give(log_gamma(s, argument(s)));
}

Status digamma(Decomposition& d) {
  Steps s(d);
  return s.give(digamma_of(s, argument(s)));
}

// The sum of log gamma(x - j / 2) over j < p, and a constant.
Status mvlgamma(Decomposition& d) {
  Steps s(d);
  const auto p = d.integer("p");
  constexpr int64_t kMost = 64;
  if (!p || *p < 1 || *p > kMost) return d.reject("p must be a number from 1 to 64");
  const V x = argument(s);
  V sum = log_gamma(s, x);
  for (int64_t j = 1; j < *p; ++j) sum = s.add(sum, log_gamma(s, s.sub(x, static_cast<double>(j) / 2)));
  return s.give(s.add(sum, static_cast<double>(*p * (*p - 1)) / 4 * std::log(kPi)));
}

Status polygamma(Decomposition& d) {
  Steps s(d);
  const auto n = d.integer("n");
  constexpr int64_t kMost = 20;
  if (!n || *n < 0 || *n > kMost) return d.reject("n must be a number from 0 to 20");
  const V x = argument(s);
  if (*n == 0) return s.give(digamma_of(s, x));
  const int order = static_cast<int>(*n) + 1;
  const double sign = order % 2 == 0 ? 1 : -1;
  // 1 / (x + k)^order for k from 0 on is what is left of all whole k without those below.
  const V left = s.compare("lt", x, 0.0);
  const V right = hurwitz_zeta(s, order, choose(s, left, s.sub(s.mul(x, -1.0), -1.0), x, x));
  const V reflected = s.sub(sum_over_whole_numbers(s, order, x), s.mul(right, sign));
  return s.give(s.mul(choose(s, left, reflected, right, x), std::tgamma(order) * sign));
}

Status erfcx(Decomposition& d) {
  Steps s(d);
  const V x = argument(s), right = scaled_erfc_right(s, s.unary("abs", x));
  const V left = s.sub(s.mul(exp(s, square(s, x)), 2.0), right);
  return s.give(choose(s, s.compare("lt", x, 0.0), left, right, x));
}

Status erfinv(Decomposition& d) {
  Steps s(d);
  const V x = argument(s);
  return s.give(inverse_error(s, x, s.mul(s.unary("log1p", s.mul(square(s, x), -1.0)), -1.0)));
}

// The normal distribution up to x.
Status ndtr(Decomposition& d) {
  Steps s(d);
  const V x = s.mul(argument(s), 1 / std::numbers::sqrt2);
  const V size = s.unary("abs", x);
  const V tail = s.mul(s.mul(scaled_erfc_right(s, size), exp(s, s.mul(square(s, x), -1.0))), 0.5);
  return s.give(choose(s, s.compare("lt", x, 0.0), tail, s.sub(s.mul(tail, -1.0), -1.0), x));
}

Status log_ndtr(Decomposition& d) {
  Steps s(d);
  const V x = s.mul(argument(s), 1 / std::numbers::sqrt2);
  const V scaled = s.mul(scaled_erfc_right(s, s.unary("abs", x)), 0.5), falling = s.mul(square(s, x), -1.0);
  const V left = s.add(log(s, scaled), falling), right = s.unary("log1p", s.mul(s.mul(scaled, exp(s, falling)), -1.0));
  return s.give(choose(s, s.compare("lt", x, 0.0), left, right, x));
}

// sqrt(2) erfinv(2 p - 1), where 1 - (2 p - 1)^2 = 4 p (1 - p) without cancellation.
Status ndtri(Decomposition& d) {
  Steps s(d);
  const V p = argument(s), x = s.sub(s.mul(p, 2.0), 1.0);
  const V w = s.mul(log(s, s.mul(s.mul(p, 4.0), s.sub(s.mul(p, -1.0), -1.0))), -1.0);
  return s.give(s.mul(inverse_error(s, x, w), std::numbers::sqrt2));
}

// -x log(x)
Status entr(Decomposition& d) {
  Steps s(d);
  const V x = argument(s);
  const V inside = choose(s, s.compare("eq", x, 0.0), 0.0, s.mul(s.mul(x, log(s, x)), -1.0), x);
  return s.give(choose(s, s.compare("lt", x, 0.0), -kInfinity, inside, x));
}

Status xlog1py(Decomposition& d) {
  Steps s(d);
  const V x = argument(s), y = argument(s, "other");
  const V zero = s.both(s.compare("eq", x, 0.0), s.negate(s.unary("isnan", y, DType::Bool)));
  return s.give(s.where(zero, 0.0, s.mul(x, s.unary("log1p", y)), s.dtype(x)));
}

// ---- integers

// Euclid's algorithm; 92 steps are enough for 64 bits, 46 for 32.
static V common_divisor(Steps& s, V a, V b) {
  a = s.unary("abs", a), b = s.unary("abs", b);
  const Shape to = s.broadcast(s.shape(a), s.shape(b));
  a = s.expand(a, to), b = s.expand(b, to);
  const DType t = s.dtype(a);
  const int steps = bit_width(t) > 32 ? 92 : 46;
  for (int i = 0; i < steps; ++i) {
    const V done = s.compare("eq", b, int64_t{0});
    const V rest = s.d.op("aten.remainder.Tensor", {{"self", a}, {"other", s.where(done, int64_t{1}, b, t)}}, s.type(a));
    a = s.where(done, a, b, t);
    b = rest;
  }
  return a;
}

Status gcd(Decomposition& d) {
  Steps s(d);
  return s.give(common_divisor(s, argument(s), argument(s, "other")));
}

Status lcm(Decomposition& d) {
  Steps s(d);
  const V a = argument(s), b = argument(s, "other"), divisor = common_divisor(s, a, b);
  const V none = s.compare("eq", divisor, int64_t{0});
  return s.give(s.unary("abs", s.mul(s.floor_div(a, s.where(none, int64_t{1}, divisor, s.dtype(a))), b)));
}

// ---- orthogonal polynomials of a fixed degree

namespace {

// next = rise(k) x current - fall(k) before, from 1 and first x + shift.
Status recurrence(Decomposition& d, double first, double shift, auto&& next) {
  Steps s(d);
  const auto n = d.number("n");
  constexpr double kMost = 64;
  if (!n || *n > kMost || *n != std::floor(*n)) return d.reject("the degree must be a number up to 64");
  const V x = argument(s, "x");
  V before = s.add(s.mul(x, 0.0), 1.0), current = s.add(s.mul(x, first), shift);
  if (*n < 0) return s.give(s.mul(before, 0.0));
  if (*n == 0) return s.give(before);
  for (int k = 1; k < static_cast<int>(*n); ++k) before = std::exchange(current, next(s, k, x, current, before));
  return s.give(current);
}

}  // namespace

Status chebyshev_t(Decomposition& d) {
  return recurrence(d, 1, 0, [](Steps& s, int, V x, V a, V b) { return s.sub(s.mul(s.mul(x, 2.0), a), b); });
}
Status chebyshev_u(Decomposition& d) {
  return recurrence(d, 2, 0, [](Steps& s, int, V x, V a, V b) { return s.sub(s.mul(s.mul(x, 2.0), a), b); });
}
Status hermite_h(Decomposition& d) {
  return recurrence(d, 2, 0,
                    [](Steps& s, int k, V x, V a, V b) { return s.sub(s.mul(s.mul(x, 2.0), a), s.mul(b, 2.0 * k)); });
}
Status hermite_he(Decomposition& d) {
  return recurrence(d, 1, 0, [](Steps& s, int k, V x, V a, V b) { return s.sub(s.mul(x, a), s.mul(b, 1.0 * k)); });
}
Status laguerre_l(Decomposition& d) {
  return recurrence(d, -1, 1, [](Steps& s, int k, V x, V a, V b) {
    return s.div(s.sub(s.mul(s.sub(s.mul(x, -1.0), -(2.0 * k + 1)), a), s.mul(b, 1.0 * k)), k + 1.0);
  });
}
Status legendre_p(Decomposition& d) {
  return recurrence(d, 1, 0, [](Steps& s, int k, V x, V a, V b) {
    return s.div(s.sub(s.mul(s.mul(x, 2.0 * k + 1), a), s.mul(b, 1.0 * k)), k + 1.0);
  });
}

}  // namespace cortland::torch_ops::decompositions
