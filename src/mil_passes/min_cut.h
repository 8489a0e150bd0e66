// The cheapest way to part a graph in two: nodes that stay with the source, and the others. Directed edges with whole
// capacities; of several cheapest cuts, the one with the fewest nodes on the source's side.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cortland::mil_passes {

class MinCut {
 public:
  static constexpr int kSource = 0, kSink = 1;
  static constexpr int64_t kInfinite = int64_t{1} << 40;

  MinCut() : edges_of_(2) {}

  int add_node() {
    edges_of_.emplace_back();
    return static_cast<int>(edges_of_.size()) - 1;
  }
  // Cutting it costs `capacity` when `from` is with the source and `to` is not.
  void add_edge(int from, int to, int64_t capacity);

  // The cost of the cut. Call once.
  int64_t solve();
  bool with_source(int node) const { return level_[static_cast<size_t>(node)] >= 0; }

 private:
  struct Edge {
    int to;
    int64_t capacity;
  };
  bool find_levels();
  int64_t push(std::vector<size_t>& next);

  std::vector<Edge> edges_;  // each beside its reverse
  std::vector<std::vector<int>> edges_of_;
  std::vector<int> level_;  // steps from the source over edges with capacity left; -1: out of reach
};

}  // namespace cortland::mil_passes
