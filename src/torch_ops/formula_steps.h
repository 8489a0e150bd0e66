// Short names for what formulas of special functions are made of.
#pragma once

#include <utility>

#include "torch_ops/steps.h"

namespace cortland::torch_ops::decompositions {

inline Steps::V log(Steps& s, Steps::V x) { return s.unary("log", x); }
inline Steps::V exp(Steps& s, Steps::V x) { return s.unary("exp", x); }
inline Steps::V square(Steps& s, Steps::V x) { return s.mul(x, x); }
inline Steps::V inverse(Steps& s, Steps::V x) { return s.unary("reciprocal", x); }
inline Steps::V choose(Steps& s, Steps::V condition, Steps::Arg a, Steps::Arg b, Steps::V like) {
  return s.where(condition, std::move(a), std::move(b), s.dtype(like));
}

}  // namespace cortland::torch_ops::decompositions
