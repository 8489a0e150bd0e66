#include "engine/heads.h"

#include <unordered_map>

#include "engine/fuse.h"

namespace cortland::engine {
namespace {

Source* operand(Step& step, std::string_view input) {
  auto& given = step.inputs[static_cast<size_t>(step.op->slot(input))];
  return given.size() == 1 && given[0].is_register() ? &given[0] : nullptr;
}

class Sharing {
 public:
  Sharing(const Plan& plan, std::vector<Step>& steps) : plan_(plan), steps_(steps) {
    for (Step& step : steps)
      for (int32_t r : step.results) producer_[r] = &step;
  }

  void run() {
    bool any = false;
    for (Step& step : steps_) {
      if (step.kind != Step::Kind::Kernel || step.op->name != "scaled_dot_product_attention") continue;
      Source *key = operand(step, "key"), *value = operand(step, "value");
      const Source *shared_key = key ? unrepeated(*key) : nullptr, *shared_value = value ? unrepeated(*value) : nullptr;
      if (!shared_key || !shared_value || shape(*shared_key)[heads(*key)] != shape(*shared_value)[heads(*value)]) continue;
      *key = *shared_key, *value = *shared_value;
      any = true;
    }
    if (any) drop_unread();
  }

 private:
  using Shape = std::vector<Dim>;
  const Shape& shape(Source s) const { return plan_.types[static_cast<size_t>(s.index)].shape(); }
  size_t heads(Source s) const { return shape(s).size() - 3; }

  // [..., heads, keys, width] -> [..., heads, 1, keys, width] -> tile -> [..., heads * times, keys, width]
  const Source* unrepeated(Source s) const {
    const Source *wide = through(s, {"reshape"}), *narrow = wide ? through(*wide, {"tile"}) : nullptr,
                 *from = narrow ? through(*narrow, {"reshape", "expand_dims"}) : nullptr;
    if (!from || !plan_.types[static_cast<size_t>(s.index)].tensor.is_static() || shape(s).size() < 3) return nullptr;
    const size_t axis = heads(s);
    Shape expected = shape(*from);
    if (expected.size() != shape(s).size()) return nullptr;
    expected.insert(expected.begin() + static_cast<int64_t>(axis) + 1, Dim(1));
    if (shape(*narrow) != expected || shape(*wide).size() != expected.size()) return nullptr;
    const int64_t times = shape(*wide)[axis + 1].constant();
    expected[axis + 1] = Dim(times);
    if (shape(*wide) != expected) return nullptr;
    expected.erase(expected.begin() + static_cast<int64_t>(axis) + 1);
    expected[axis] = Dim(expected[axis].constant() * times);
    return shape(s) == expected ? from : nullptr;
  }

  // What the step that makes `s`, one of those ops, takes as x.
  const Source* through(Source s, std::initializer_list<std::string_view> ops) const {
    const auto it = producer_.find(s.index);
    if (it == producer_.end()) return nullptr;
    for (std::string_view op : ops)
      if (it->second->op && it->second->op->name == op) return operand(*it->second, "x");
    return nullptr;
  }

  void drop_unread() {
    auto readers = Readers::of(plan_, steps_).count;
    for (size_t i = steps_.size(); i-- > 0;) {
      const Step& step = steps_[i];
      if (step.kind != Step::Kind::Kernel || step.results.size() != 1 || readers[static_cast<size_t>(step.results[0])] > 0)
        continue;
      if (step.op->name != "reshape" && step.op->name != "tile" && step.op->name != "expand_dims") continue;
      for (const auto& slot : step.inputs)
        for (Source s : slot)
          if (s.is_register()) --readers[static_cast<size_t>(s.index)];
      steps_.erase(steps_.begin() + static_cast<int64_t>(i));
    }
  }

  const Plan& plan_;
  std::vector<Step>& steps_;
  std::unordered_map<int32_t, Step*> producer_;
};

}  // namespace

void share_heads(const Plan& plan, std::vector<Step>& steps) { Sharing(plan, steps).run(); }

}  // namespace cortland::engine
