// Products and sums as mathematics has them: whatever order, grouping and spelling (mul, real_div, square, pow; add, sub) a
// model uses for the same expression, a pattern sees it once. Reading only.
#pragma once

#include <vector>

#include "mil_passes/rewrite.h"

namespace cortland::mil_passes {

// scale * factors[0] * factors[1] * ...; x * x is two factors.
struct Product {
  float scale = 1;
  std::vector<Operand> factors;

  // The other factor of exactly two, when `known` is one of them.
  Operand other(Operand known) const {
    if (factors.size() != 2) return {};
    return factors[0] == known ? factors[1] : factors[1] == known ? factors[0] : Operand();
  }
  bool is_power(Operand x, size_t exponent) const {
    if (factors.size() != exponent) return false;
    for (Operand f : factors)
      if (f != x) return false;
    return true;
  }
};

struct Term {
  float coefficient = 1;
  Operand value;
};

// offset + the terms.
struct Sum {
  float offset = 0;
  std::vector<Term> terms;
};

// What is no product is its own only factor, and likewise for sums. `root` itself may have other users; what is inside may
// not, or it would have to stay.
Product product_of(const Rewriter& r, Operand root);
Sum sum_of(const Rewriter& r, Operand root);

bool near(float a, double b, DType type);  // equal within what constants of the type lose, or of few written digits

}  // namespace cortland::mil_passes
