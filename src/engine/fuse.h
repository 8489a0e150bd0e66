// Which element-wise steps may run inside the step before them.
#pragma once

#include <optional>
#include <vector>

#include "engine/plan.h"

namespace cortland::engine {

// What follows one step, the only reader of what comes before.
struct Follower {
  std::vector<size_t> steps;  // of the block; HardSwish and Silu may take two
  PostOp op;
  std::optional<Source> addend;
  int32_t result = -1;  // register
};

// For each register, how often it is read and by which steps of a block.
struct Readers {
  std::vector<int32_t> count;           // in all blocks
  std::vector<std::vector<size_t>> by;  // steps of one block, in order

  static Readers of(const Plan& plan, const std::vector<Step>& steps);
};

// `computed` says of a register whether it has a value before the first step runs. Exact: results of type float16 are rounded
// after each op, so only ops that change places with rounding may follow.
std::vector<Follower> find_followers(const Plan& plan, const std::vector<Step>& steps, const Readers& readers, int32_t result,
                                     const std::vector<bool>& computed, bool exact);

}  // namespace cortland::engine
