// Capability-based partitioning: groups supported nodes into as few parts as possible without making a cycle between a part
// and what stays outside. Gives the parts that torch.fx's CapabilityBasedPartitioner gives with single-node parts allowed.
#pragma once

#include <cstdint>
#include <vector>

namespace cortland::partition {

// A directed acyclic graph whose nodes are numbered in execution order.
struct Dag {
  std::vector<std::vector<int32_t>> users;  // by node, each node later than its producer
  std::vector<bool> supported;
};

// Parts in order of their first node; the nodes of a part in execution order.
std::vector<std::vector<int32_t>> capability_partitions(const Dag& dag);

}  // namespace cortland::partition
