// How compressed weights stand for numbers. The parameters are fixed before a code is made; `groups` says into how many
// blocks (tensor/blocks.h) each axis is cut, and every block has its own. Plain immutable values.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/dtype.h"

namespace cortland {

// Added to the elements before their codes are chosen, by index of an axis; no values: nothing is.
struct Shift {
  int64_t axis = 0;
  std::vector<float> values;
};

// x = scale * (code - zero). The code is the nearest integer (halves to even) within [low, high].
struct LinearCode {
  DType type = DType::I8;  // int4, uint4, int8 or uint8
  int low = -127, high = 127;
  std::vector<int64_t> groups;
  std::vector<float> scale, zero;  // one a block; scales are positive
  Shift shift;
};

// x = entry number `code` of the block's table: the nearest.
struct TableCode {
  DType type = DType::U4;  // uint1 to uint8
  std::vector<int64_t> groups;
  std::vector<float> entries;  // 2^bits a block, ascending
  Shift shift;
};

// Which elements become 0.
struct Pruning {
  enum class Rule {
    Magnitude,  // those with |x| <= threshold
    Norm,       // every `run` neighbours along `axis` whose euclidean norm is <= threshold
    Rank,       // of every `run` neighbours along `axis` the `drop` smallest; the last run may be short, as if filled with 0
  };
  Rule rule = Rule::Magnitude;
  float threshold = 0;
  int64_t axis = 0, run = 1, drop = 0;
};

}  // namespace cortland
