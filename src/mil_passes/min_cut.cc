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

// Dinic's algorithm: paths of the least length are looked for all at once, so that a program of many layers, with paths in each, is not
// walked as a whole for every path.
bool MinCut::find_levels() {
  level_.assign(edges_of_.size(), -1);
  std::deque<int> pending = {kSource};
  level_[kSource] = 0;
  while (!pending.empty()) {
    const auto node = static_cast<size_t>(pending.front());
    pending.pop_front();
    for (int e : edges_of_[node]) {
      const Edge& edge = edges_[static_cast<size_t>(e)];
      if (edge.capacity == 0 || level_[static_cast<size_t>(edge.to)] >= 0) continue;
      level_[static_cast<size_t>(edge.to)] = level_[node] + 1;
      pending.push_back(edge.to);
    }
  }
  return level_[kSink] >= 0;
}

// One path from level to level; 0 when there is none left. `next` is where the search goes on among the edges of each node.
int64_t MinCut::push(std::vector<size_t>& next) {
  std::vector<size_t> path;  // edges
  size_t node = kSource;
  while (node != kSink) {
    size_t& at = next[node];
    const auto& edges = edges_of_[node];
    const auto usable = [&](int e) {
      const Edge& edge = edges_[static_cast<size_t>(e)];
      return edge.capacity > 0 && level_[static_cast<size_t>(edge.to)] == level_[node] + 1;
    };
    while (at < edges.size() && !usable(edges[at])) ++at;
    if (at < edges.size()) {
      path.push_back(static_cast<size_t>(edges[at]));
      node = static_cast<size_t>(edges_[path.back()].to);
    } else if (path.empty()) {
      return 0;
    } else {  // a dead end
      node = static_cast<size_t>(edges_[path.back() ^ 1].to);
      path.pop_back();
      ++next[node];
    }
  }
  int64_t room = kInfinite;
  for (const size_t e : path) room = std::min(room, edges_[e].capacity);
  for (const size_t e : path) {
    edges_[e].capacity -= room;
    edges_[e ^ 1].capacity += room;
  }
  return room;
}

int64_t MinCut::solve() {
  int64_t flow = 0;
  while (find_levels()) {
    std::vector<size_t> next(edges_of_.size(), 0);
    while (const int64_t room = push(next)) flow += room;
  }
  return flow;
}

}  // namespace cortland::mil_passes
