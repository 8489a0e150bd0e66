// Bessel functions of order 0 and 1, in terms of elementary functions: the polynomials of Abramowitz and Stegun, Handbook of
// Mathematical Functions, 9.4 and 9.8, whose errors are below 1e-6.
#include <limits>
#include <numbers>

#include "torch_ops/decompositions.h"
#include "torch_ops/formula_steps.h"
#include "torch_ops/steps.h"

namespace cortland::torch_ops::decompositions {

using V = Steps::V;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

V argument(Steps& s) { return s.cast(s.tensor(s.d.has("self") ? "self" : "x"), s.d.result_type().dtype); }

V i0_below(Steps& s, V x) {
  return s.polynomial(square(s, s.div(x, 3.75)), {1, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.0360768, 0.0045813});
}
V i0_beyond(Steps& s, V u) {
  return s.polynomial(u, {0.39894228, 0.01328592, 0.00225319, -0.00157565, 0.00916281, -0.02057706, 0.02635537, -0.01647633, 0.00392377});
}
// Divided by x.
V i1_below(Steps& s, V x) {
  return s.polynomial(square(s, s.div(x, 3.75)),
                    {0.5, 0.87890594, 0.51498869, 0.15084934, 0.02658733, 0.00301532, 0.00032411});
}
V i1_beyond(Steps& s, V u) {
  return s.polynomial(u,
      {0.39894228, -0.03988024, -0.00362018, 0.00163801, -0.01031555, 0.02282967, -0.02895312, 0.01787654, -0.00420059});
}

// I0 or I1, times exp(-|x|) if scaled.
Status modified_bessel(Decomposition& d, bool first, bool scaled) {
  Steps s(d);
  const V x = argument(s), size = s.unary("abs", x);
  const V near = s.clamp(size, Steps::Arg(), 3.75), far = s.clamp(size, 3.75, Steps::Arg());
  const V u = s.mul(inverse(s, far), 3.75);
  V below = first ? s.mul(near, i1_below(s, near)) : i0_below(s, near);
  V beyond = s.mul(first ? i1_beyond(s, u) : i0_beyond(s, u), s.unary("rsqrt", far));
  if (scaled)
    below = s.mul(below, exp(s, s.mul(near, -1.0)));
  else
    beyond = s.mul(beyond, exp(s, far));
  const V value = choose(s, s.compare("lt", size, 3.75), below, beyond, x);
  return s.give(first ? choose(s, s.compare("lt", x, 0.0), s.mul(value, -1.0), value, x) : value);
}

// K0 or K1, times exp(x) if scaled; infinite at 0, nan below.
Status modified_bessel_k(Decomposition& d, bool first, bool scaled) {
  Steps s(d);
  const V x = argument(s);
  const V near = s.clamp(x, Steps::Arg(), 2.0), far = s.clamp(x, 2.0, Steps::Arg());
  const V half = s.mul(near, 0.5), y = square(s, half), u = s.mul(inverse(s, far), 2.0);
  V below, beyond;
  if (first) {
    below = s.add(
        s.mul(log(s, half), s.mul(near, i1_below(s, near))),
        s.div(s.polynomial(y, {1, 0.15443144, -0.67278579, -0.18156897, -0.01919402, -0.00110404, -0.00004686}), near));
    beyond = s.polynomial(u, {1.25331414, 0.23498619, -0.03655620, 0.01504268, -0.00780353, 0.00325614, -0.00068245});
  } else {
    below = s.sub(s.polynomial(y, {-0.57721566, 0.42278420, 0.23069756, 0.03488590, 0.00262698, 0.00010750, 0.00000740}),
                  s.mul(log(s, half), i0_below(s, near)));
    beyond = s.polynomial(u, {1.25331414, -0.07832358, 0.02189568, -0.01062446, 0.00587872, -0.00251540, 0.00053208});
  }
  beyond = s.mul(beyond, s.unary("rsqrt", far));
  if (scaled)
    below = s.mul(below, exp(s, near));
  else
    beyond = s.mul(beyond, exp(s, s.mul(far, -1.0)));
  const V value = choose(s, s.compare("le", x, 2.0), below, beyond, x);
  return s.give(choose(s, s.compare("eq", x, 0.0), kInfinity, choose(s, s.compare("lt", x, 0.0), kNan, value, x), x));
}

V j0_below(Steps& s, V y) {
  return s.polynomial(y, {1, -2.2499997, 1.2656208, -0.3163866, 0.0444479, -0.0039444, 0.0002100});
}
V j1_below(Steps& s, V y) {
  return s.polynomial(y, {0.5, -0.56249985, 0.21093573, -0.03954289, 0.00443319, -0.00031761, 0.00001109});
}

// From 3 on: an amplitude over sqrt(x), and a phase.
std::pair<V, V> wave(Steps& s, V x, bool first) {
  const V u = s.mul(inverse(s, x), 3.0);
  const V amplitude =
      first ? s.polynomial(u, {0.79788456, 0.00000156, 0.01659667, 0.00017105, -0.00249511, 0.00113653, -0.00020033})
            : s.polynomial(u, {0.79788456, -0.00000077, -0.00552740, -0.00009512, 0.00137237, -0.00072805, 0.00014476});
  const V shift =
      first ? s.polynomial(u, {-2.35619449, 0.12499612, 0.00005650, -0.00637879, 0.00074348, 0.00079824, -0.00029166})
            : s.polynomial(u, {-0.78539816, -0.04166397, -0.00003954, 0.00262573, -0.00054125, -0.00029333, 0.00013558});
  return {s.mul(amplitude, s.unary("rsqrt", x)), s.add(x, shift)};
}

Status bessel_j(Decomposition& d, bool first) {
  Steps s(d);
  const V x = argument(s), size = s.unary("abs", x);
  const V near = s.clamp(size, Steps::Arg(), 3.0), y = square(s, s.div(near, 3.0));
  const V below = first ? s.mul(near, j1_below(s, y)) : j0_below(s, y);
  const auto [amplitude, phase] = wave(s, s.clamp(size, 3.0, Steps::Arg()), first);
  const V value = choose(s, s.compare("lt", size, 3.0), below, s.mul(amplitude, s.unary("cos", phase)), x);
  return s.give(first ? choose(s, s.compare("lt", x, 0.0), s.mul(value, -1.0), value, x) : value);
}

Status bessel_y(Decomposition& d, bool first) {
  Steps s(d);
  const V x = argument(s);
  const V near = s.clamp(x, Steps::Arg(), 3.0), y = square(s, s.div(near, 3.0));
  const V scaled_log = s.mul(log(s, s.mul(near, 0.5)), 2 / std::numbers::pi);
  const V below =
      first
          ? s.add(s.mul(scaled_log, s.mul(near, j1_below(s, y))),
                  s.div(s.polynomial(y, {-0.6366198, 0.2212091, 2.1682709, -1.3164827, 0.3123951, -0.0400976, 0.0027873}),
                        near))
          : s.add(s.mul(scaled_log, j0_below(s, y)),
                  s.polynomial(y, {0.36746691, 0.60559366, -0.74350384, 0.25300117, -0.04261214, 0.00427916, -0.00024846}));
  const auto [amplitude, phase] = wave(s, s.clamp(x, 3.0, Steps::Arg()), first);
  const V value = choose(s, s.compare("lt", x, 3.0), below, s.mul(amplitude, s.unary("sin", phase)), x);
  return s.give(choose(s, s.compare("eq", x, 0.0), -kInfinity, choose(s, s.compare("lt", x, 0.0), kNan, value, x), x));
}

}  // namespace

Status bessel_i0(Decomposition& d) { return modified_bessel(d, false, false); }
Status bessel_i0e(Decomposition& d) { return modified_bessel(d, false, true); }
Status bessel_i1(Decomposition& d) { return modified_bessel(d, true, false); }
Status bessel_i1e(Decomposition& d) { return modified_bessel(d, true, true); }
Status bessel_k0(Decomposition& d) { return modified_bessel_k(d, false, false); }
Status bessel_k0e(Decomposition& d) { return modified_bessel_k(d, false, true); }
Status bessel_k1(Decomposition& d) { return modified_bessel_k(d, true, false); }
Status bessel_k1e(Decomposition& d) { return modified_bessel_k(d, true, true); }
Status bessel_j0(Decomposition& d) { return bessel_j(d, false); }
Status bessel_j1(Decomposition& d) { return bessel_j(d, true); }
Status bessel_y0(Decomposition& d) { return bessel_y(d, false); }
Status bessel_y1(Decomposition& d) { return bessel_y(d, true); }

// sin(x) / x
Status spherical_bessel_j0(Decomposition& d) {
  Steps s(d);
  const V x = argument(s);
  return s.give(choose(s, s.compare("eq", x, 0.0), 1.0, s.div(s.unary("sin", x), x), x));
}

}  // namespace cortland::torch_ops::decompositions
