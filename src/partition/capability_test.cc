#include "partition/capability.h"

#include <gtest/gtest.h>

#include <random>

namespace cortland::partition {
namespace {

Dag make(size_t nodes, const std::vector<std::pair<int, int>>& edges, const std::vector<int>& unsupported) {
  Dag dag{std::vector<std::vector<int32_t>>(nodes), std::vector<bool>(nodes, true)};
  for (auto [a, b] : edges) dag.users[static_cast<size_t>(a)].push_back(b);
  for (int n : unsupported) dag.supported[static_cast<size_t>(n)] = false;
  return dag;
}

using Parts = std::vector<std::vector<int32_t>>;

TEST(Capability, EverythingSupportedIsOnePart) {
  EXPECT_EQ(capability_partitions(make(3, {{0, 1}}, {})), (Parts{{0, 1, 2}}));
  EXPECT_EQ(capability_partitions(make(0, {}, {})), Parts{});
}

TEST(Capability, AChainIsCutAtAnUnsupportedNode) {
  EXPECT_EQ(capability_partitions(make(5, {{0, 1}, {1, 2}, {2, 3}, {3, 4}}, {2})), (Parts{{0, 1}, {3, 4}}));
}

TEST(Capability, ABypassDoesNotJoinWhatTheUnsupportedNodeSeparates) {
  // 0 -> 1(cpu) -> 2, and 0 -> 2: joining 0 and 2 would make a cycle through 1.
  EXPECT_EQ(capability_partitions(make(3, {{0, 1}, {1, 2}, {0, 2}}, {1})), (Parts{{0}, {2}}));
}

TEST(Capability, IndependentBranchesJoin) {
  // Two chains, each through a CPU node: heads join and tails join.
  EXPECT_EQ(capability_partitions(make(6, {{0, 1}, {1, 2}, {3, 4}, {4, 5}}, {1, 4})), (Parts{{0, 3}, {2, 5}}));
}

// Whatever the graph: every supported node is in exactly one part, and the parts with the nodes outside form no cycle.
TEST(Capability, PartsNeverMakeACycle) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    const size_t n = 2 + random() % 30;
    Dag dag{std::vector<std::vector<int32_t>>(n), std::vector<bool>(n)};
    for (size_t i = 0; i < n; ++i) {
      dag.supported[i] = random() % 4 != 0;
      for (size_t j = i + 1; j < n; ++j)
        if (random() % 5 == 0) dag.users[i].push_back(static_cast<int32_t>(j));
    }
    const auto parts = capability_partitions(dag);
    std::vector<int> group(n, -1);
    for (size_t p = 0; p < parts.size(); ++p)
      for (int32_t node : parts[p]) {
        ASSERT_TRUE(dag.supported[static_cast<size_t>(node)]);
        ASSERT_EQ(group[static_cast<size_t>(node)], -1);
        group[static_cast<size_t>(node)] = static_cast<int>(p);
      }
    int groups = static_cast<int>(parts.size());
    for (size_t i = 0; i < n; ++i) {
      ASSERT_EQ(group[i] >= 0, dag.supported[i] == true);
      if (group[i] < 0) group[i] = groups++;
    }
    // Kahn's algorithm over the contracted graph.
    std::vector<std::vector<int>> next(static_cast<size_t>(groups));
    std::vector<int> indegree(static_cast<size_t>(groups), 0);
    for (size_t i = 0; i < n; ++i)
      for (int32_t u : dag.users[i])
        if (group[i] != group[static_cast<size_t>(u)]) {
          next[static_cast<size_t>(group[i])].push_back(group[static_cast<size_t>(u)]);
          ++indegree[static_cast<size_t>(group[static_cast<size_t>(u)])];
        }
    std::vector<int> ready;
    for (int g = 0; g < groups; ++g)
      if (!indegree[static_cast<size_t>(g)]) ready.push_back(g);
    int seen = 0;
    while (!ready.empty()) {
      const int g = ready.back();
      ready.pop_back();
      ++seen;
      for (int u : next[static_cast<size_t>(g)])
        if (--indegree[static_cast<size_t>(u)] == 0) ready.push_back(u);
    }
    ASSERT_EQ(seen, groups) << "round " << round;
  }
}

}  // namespace
}  // namespace cortland::partition
