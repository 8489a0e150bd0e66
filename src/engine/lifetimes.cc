#include <algorithm>

#include "engine/plan.h"

namespace cortland::engine {
namespace {

class Lifetimes {
 public:
  explicit Lifetimes(Plan& plan) : plan_(plan), read_(plan.owner.size(), false) {}

  // Walks the steps backwards. Gives the registers that the block reads and does not own.
  std::vector<int32_t> block(int32_t index) {
    BlockPlan& block = plan_.blocks[static_cast<size_t>(index)];
    std::vector<int32_t> outer;
    auto owned = [&](int32_t r) { return plan_.owner[static_cast<size_t>(r)] == index; };
    for (Source out : block.outputs) {
      if (!out.is_register()) continue;
      if (!owned(out.index))
        outer.push_back(out.index);
      else if (first_read(out.index))
        block.releases.push_back(out.index);
    }
    for (size_t i = block.steps.size(); i-- > 0;) {
      Step& step = block.steps[i];
      for (int32_t r : reads(step)) {
        if (!owned(r))
          outer.push_back(r);
        else if (first_read(r))
          step.releases.push_back(r);
      }
      mark_moves(step);
    }
    for (int32_t r : block.inputs)
      if (first_read(r)) block.releases.push_back(r);
    std::sort(outer.begin(), outer.end());
    outer.erase(std::unique(outer.begin(), outer.end()), outer.end());
    return outer;
  }

 private:
  bool first_read(int32_t r) {
    if (read_[static_cast<size_t>(r)]) return false;
    read_[static_cast<size_t>(r)] = true;
    return true;
  }

  std::vector<int32_t> reads(const Step& step) {
    std::vector<int32_t> reads = step.results;
    for (const auto& slot : step.inputs)
      for (Source from : slot)
        if (from.is_register()) reads.push_back(from.index);
    for (int32_t nested : step.blocks)
      for (int32_t r : block(nested)) reads.push_back(r);
    return reads;
  }

  static void mark_moves(Step& step) {
    if (step.kind != Step::Kind::Kernel) return;
    for (auto& slot : step.inputs)
      for (Source& from : slot) {
        if (!from.is_register() || std::find(step.releases.begin(), step.releases.end(), from.index) == step.releases.end()) continue;
        int64_t readers = 0;
        for (const auto& other : step.inputs)
          readers += std::count_if(other.begin(), other.end(), [&](Source s) { return s.is_register() && s.index == from.index; });
        from.last = readers == 1;
      }
  }

  Plan& plan_;
  std::vector<bool> read_;  // by register: a later reader is known
};

}  // namespace

void plan_lifetimes(Plan& plan) { Lifetimes(plan).block(static_cast<int32_t>(plan.blocks.size()) - 1); }

}  // namespace cortland::engine
