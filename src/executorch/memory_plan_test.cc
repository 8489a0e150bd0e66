#include "executorch/memory_plan.h"

#include <gtest/gtest.h>

#include <random>

namespace cortland::executorch {
namespace {

uint64_t rounded(uint64_t n) { return (n + 15) / 16 * 16; }

TEST(MemoryPlan, EmptyPlanIsWhatIsReserved) {
  EXPECT_EQ(plan_memory({}).pool_size, 0u);
  EXPECT_EQ(plan_memory({}, 48).pool_size, 48u);
}

// Sizes rounded: A 16, B 128, C 32, D 32, E 96. Order: B, E, D, C (later first), A.
// B [0,1]: new object 0. E [1,3]: B is alive at 1 and fills object 0, so object 1.
// D [2,3]: object 0 is free then, offset 0. C [0,2]: object 0 ends at 128 (B) and object 1 at 96 (E): new object 2.
// A [3,3]: object 0 has D until 32, object 1 has E until 96, object 2 is free: offset 0 there.
TEST(MemoryPlan, FollowsTheRuleByHand) {
  const Lifetime tensors[] = {{4, 3, 3}, {128, 0, 1}, {20, 0, 2}, {32, 2, 3}, {90, 1, 3}};
  const auto plan = plan_memory(tensors);
  EXPECT_EQ(plan.offsets, (std::vector<uint64_t>{224, 0, 224, 0, 128}));
  EXPECT_EQ(plan.pool_size, 256u);
}

// The 16 bytes go behind the 32 that are alive in the 64-byte object, since no object is free and there is room.
TEST(MemoryPlan, PutsATensorBehindThoseAlive) {
  const Lifetime tensors[] = {{64, 0, 0}, {32, 1, 5}, {16, 1, 5}};
  const auto plan = plan_memory(tensors, 64);
  EXPECT_EQ(plan.offsets, (std::vector<uint64_t>{64, 64, 96}));
  EXPECT_EQ(plan.pool_size, 128u);
}

TEST(MemoryPlan, PrefersAFreeObjectToRoomInABusyOne) {
  // The 48 bytes end up in the first object; the last tensor could follow them, but object 1 is free at 5.
  const Lifetime tensors[] = {{96, 0, 1}, {64, 1, 1}, {48, 5, 5}, {16, 5, 5}};
  const auto plan = plan_memory(tensors);
  EXPECT_EQ(plan.offsets, (std::vector<uint64_t>{0, 96, 0, 96}));
}

TEST(MemoryPlan, OverlappingLifetimesNeverShareBytes) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<Lifetime> tensors(1 + random() % 60);
    for (auto& t : tensors) {
      t.first = static_cast<int32_t>(random() % 40);
      t.last = t.first + static_cast<int32_t>(random() % 12);
      t.nbytes = random() % 8 == 0 ? 0 : (random() % 5 + 1) * (random() % 300 + 1);
    }
    const auto plan = plan_memory(tensors);
    uint64_t sum = 0;
    for (size_t i = 0; i < tensors.size(); ++i) {
      const auto& a = tensors[i];
      ASSERT_EQ(plan.offsets[i] % 16, 0u);
      ASSERT_LE(plan.offsets[i] + rounded(a.nbytes), plan.pool_size);
      sum += rounded(a.nbytes);
      for (size_t k = 0; k < i; ++k) {
        const auto& b = tensors[k];
        if (a.first > b.last || b.first > a.last) continue;
        ASSERT_TRUE(plan.offsets[i] + a.nbytes <= plan.offsets[k] || plan.offsets[k] + b.nbytes <= plan.offsets[i])
            << "round " << round << ": tensors " << i << " and " << k;
      }
    }
    ASSERT_LE(plan.pool_size, sum);
  }
}

}  // namespace
}  // namespace cortland::executorch
