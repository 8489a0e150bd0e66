// A tensor cut into equal blocks: groups[i] of them along axis i, numbered in row-major order. Immutable; any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace cortland {

class Blocks {
 public:
  // groups[i] divides shape[i].
  Blocks(const std::vector<int64_t>& shape, const std::vector<int64_t>& groups) {
    int64_t inner = 1;
    for (size_t i = shape.size(); i-- > 0; inner *= shape[i]) {
      if (groups[i] == 1) continue;
      const int64_t width = shape[i] / groups[i];
      if (axes_.empty()) run_ = width * inner;
      axes_.push_back({inner, shape[i], width, count_});
      count_ *= groups[i];
    }
    if (axes_.empty()) run_ = std::max<int64_t>(inner, 1);
  }

  int64_t count() const { return count_; }
  // So many elements that are neighbours in memory share a block.
  int64_t run() const { return run_; }

  int64_t of(int64_t element) const {
    int64_t block = 0;
    for (const Axis& a : axes_) block += element / a.inner % a.size / a.width * a.stride;
    return block;
  }

  // Calls f(first, count, block) for the runs inside [first, first + count), in order.
  template <class F>
  void for_each_run(int64_t first, int64_t count, const F& f) const {
    for (int64_t at = first, end = first + count; at < end;) {
      const int64_t next = std::min(end, (at / run_ + 1) * run_);
      f(at, next - at, of(at));
      at = next;
    }
  }

 private:
  struct Axis {
    int64_t inner, size, width;  // elements under one index, indices, indices of one block
    int64_t stride;              // between the numbers of neighbouring blocks
  };
  std::vector<Axis> axes_;  // the ones that are cut, last first
  int64_t count_ = 1, run_ = 1;
};

}  // namespace cortland
