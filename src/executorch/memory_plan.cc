#include "executorch/memory_plan.h"

#include <algorithm>
#include <numeric>
#include <optional>

namespace cortland::executorch {
namespace {

struct Placed {
  int32_t first, last;
  uint64_t begin, end;  // inside the object
};

// A stretch of the pool, as large as the first tensor put into it.
struct Object {
  uint64_t size;
  std::vector<Placed> placed;
};

// Where everything alive at the same time as `tensor` ends; nothing when the object is free all that time.
std::optional<uint64_t> busy_until(const Object& object, const Lifetime& tensor) {
  std::optional<uint64_t> end;
  for (const auto& other : object.placed)
    if (other.first <= tensor.last && tensor.first <= other.last) end = std::max(end.value_or(0), other.end);
  return end;
}

struct Spot {
  size_t object;
  uint64_t offset;
};

Spot find_spot(std::vector<Object>& objects, const Lifetime& tensor, uint64_t size) {
  std::optional<Spot> behind;  // a busy object with room behind what is alive; a free one is preferred
  for (size_t i = 0; i < objects.size(); ++i) {
    const auto end = busy_until(objects[i], tensor);
    if (!end) return {i, 0};
    if (!behind && *end > 0 && size <= objects[i].size && *end <= objects[i].size - size) behind = Spot{i, *end};
  }
  if (behind) return *behind;
  objects.push_back({size, {}});
  return {objects.size() - 1, 0};
}

}  // namespace

MemoryPlan plan_memory(std::span<const Lifetime> lifetimes, uint64_t reserved) {
  const auto rounded = [&](size_t i) { return (lifetimes[i].nbytes + 15) / 16 * 16; };
  std::vector<size_t> order(lifetimes.size());
  std::iota(order.rbegin(), order.rend(), size_t{0});  // of equal sizes the later one comes first
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return rounded(a) > rounded(b); });

  std::vector<Object> objects;
  std::vector<Spot> spots(lifetimes.size());
  for (const size_t i : order) {
    const auto& tensor = lifetimes[i];
    spots[i] = find_spot(objects, tensor, rounded(i));
    const uint64_t begin = spots[i].offset;
    objects[spots[i].object].placed.push_back({tensor.first, tensor.last, begin, begin + rounded(i)});
  }

  MemoryPlan plan{{}, reserved};
  std::vector<uint64_t> base;
  for (const auto& object : objects) {
    base.push_back(plan.pool_size);
    plan.pool_size += object.size;
  }
  for (const auto& spot : spots) plan.offsets.push_back(base[spot.object] + spot.offset);
  return plan;
}

}  // namespace cortland::executorch
