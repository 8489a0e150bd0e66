// By the theorem of maximal flows: Edmonds and Karp.
#include "mil_passes/min_cut.h"

#include <algorithm>
#include <deque>

namespace cortland::mil_passes {

void MinCut::add_edge(int from, int to, int64_t capacity) {
  edges_of_[static_cast<size_t>(from)].push_back(static_cast<int>(edges_.size()));
  edges_.push_back({to, capacity});
  edges_of_[static_cast<size_t>(to)].push_back(static_cast<int>(edges_.size()));
  edges_.push_back({from, 0});
}

bool MinCut::find_path(std::vector<int>& edge_to) {
  reached_.assign(edges_of_.size(), false);
  edge_to.assign(edges_of_.size(), -1);
  std::deque<int> pending = {kSource};
  reached_[kSource] = true;
  while (!pending.empty()) {
    const int node = pending.front();
    pending.pop_front();
    for (int e : edges_of_[static_cast<size_t>(node)]) {
      const Edge& edge = edges_[static_cast<size_t>(e)];
      if (edge.capacity == 0 || reached_[static_cast<size_t>(edge.to)]) continue;
      reached_[static_cast<size_t>(edge.to)] = true;
      edge_to[static_cast<size_t>(edge.to)] = e;
      pending.push_back(edge.to);
    }
  }
  return reached_[kSink];
}

int64_t MinCut::solve() {
  int64_t flow = 0;
  std::vector<int> edge_to;
  while (find_path(edge_to)) {
    int64_t room = kInfinite;
    for (int node = kSink; node != kSource; node = edges_[static_cast<size_t>(edge_to[static_cast<size_t>(node)] ^ 1)].to)
      room = std::min(room, edges_[static_cast<size_t>(edge_to[static_cast<size_t>(node)])].capacity);
    for (int node = kSink; node != kSource; node = edges_[static_cast<size_t>(edge_to[static_cast<size_t>(node)] ^ 1)].to) {
      const auto e = static_cast<size_t>(edge_to[static_cast<size_t>(node)]);
      edges_[e].capacity -= room;
      edges_[e ^ 1].capacity += room;
    }
    flow += room;
  }
  return flow;
}

}  // namespace cortland::mil_passes
