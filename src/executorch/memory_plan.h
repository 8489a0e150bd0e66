// Placement of activations in one pool, by lifetime: greedy by size, the offsets ExecuTorch's own planner gives.
// A pure function; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace cortland::executorch {

// Positions of the first and last node that refer to the tensor, both included. Two tensors may share memory only when
// their intervals are disjoint. `nbytes` is the upper bound for a dynamic shape.
struct Lifetime {
  uint64_t nbytes = 0;
  int32_t first = 0, last = 0;
};

struct MemoryPlan {
  std::vector<uint64_t> offsets;  // one a lifetime, in the order given; multiples of 16
  uint64_t pool_size = 0;         // end of the last object, `reserved` included
};

// `lifetimes` in node order. Nothing is placed below `reserved`, which belongs to the bodies of cond, while and map.
MemoryPlan plan_memory(std::span<const Lifetime> lifetimes, uint64_t reserved = 0);

}  // namespace cortland::executorch
