#include "partition/capability.h"

#include <algorithm>
#include <map>
#include <set>

namespace cortland::partition {
namespace {

class NodeSet {
 public:
  explicit NodeSet(size_t nodes = 0) : words_((nodes + 63) / 64) {}
  void add(int32_t n) { words_[static_cast<size_t>(n) / 64] |= uint64_t{1} << (n % 64); }
  void remove(int32_t n) { words_[static_cast<size_t>(n) / 64] &= ~(uint64_t{1} << (n % 64)); }
  void add(const NodeSet& other) {
    for (size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
  }
  template <class F>
  void each(F&& f) const {
    for (size_t i = 0; i < words_.size(); ++i)
      for (uint64_t rest = words_[i]; rest; rest &= rest - 1) f(static_cast<int32_t>(i * 64) + __builtin_ctzll(rest));
  }

 private:
  std::vector<uint64_t> words_;
};

struct Part {
  std::vector<int32_t> nodes;
  NodeSet users;        // outside nodes that read a result of the part
  std::set<int> reach;  // parts known to be downstream
  int order = 0;        // smallest id merged into it
};

class Partitioner {
 public:
  explicit Partitioner(const Dag& dag) : dag_(dag), count_(dag.users.size()), part_of_(count_, -1) {
    downstream_.assign(count_, NodeSet(count_));
    for (size_t n = count_; n-- > 0;) {
      for (int32_t u : dag.users[n]) {
        downstream_[n].add(u);
        downstream_[n].add(downstream_[static_cast<size_t>(u)]);
      }
    }
  }

  std::vector<std::vector<int32_t>> run() {
    for (size_t n = count_; n-- > 0;) {
      std::vector<int> candidates;
      const auto node = static_cast<int32_t>(n);
      if (dag_.supported[n]) candidates.push_back(create(node));
      std::vector<int> live;
      for (const auto& [id, part] : parts_)
        if (candidates.empty() || id != candidates[0]) live.push_back(id);
      std::sort(live.begin(), live.end(), [&](int a, int b) { return parts_.at(a).order < parts_.at(b).order; });
      candidates.insert(candidates.end(), live.begin(), live.end());
      if (candidates.empty()) continue;
      int self = candidates[0];
      for (size_t i = 1; i < candidates.size(); ++i) self = merge(self, candidates[i]);
    }
    std::vector<std::vector<int32_t>> result;
    for (auto& [id, part] : parts_) {
      std::sort(part.nodes.begin(), part.nodes.end());
      result.push_back(std::move(part.nodes));
    }
    std::sort(result.begin(), result.end());
    return result;
  }

 private:
  int create(int32_t node) {
    const int id = next_++;
    Part part{{node}, NodeSet(count_), {}, id};
    for (int32_t u : dag_.users[static_cast<size_t>(node)]) part.users.add(u);
    part.reach = reached_from(part.users);
    part_of_[static_cast<size_t>(node)] = id;
    parts_.emplace(id, std::move(part));
    return id;
  }

  std::set<int> reached_from(const NodeSet& users) const {
    NodeSet all = users;
    users.each([&](int32_t u) { all.add(downstream_[static_cast<size_t>(u)]); });
    std::set<int> found;
    all.each([&](int32_t n) {
      const int part = part_of_[static_cast<size_t>(n)];
      if (part < 0 || !found.insert(part).second) return;
      const auto& further = parts_.at(part).reach;
      found.insert(further.begin(), further.end());
    });
    return found;
  }

  // The id of the part that holds both afterwards, or `a` when they must stay apart.
  int merge(int a, int b) {
    Part& first = parts_.at(a);
    Part& second = parts_.at(b);
    NodeSet users = first.users;
    users.add(second.users);
    for (const Part* p : {&first, &second})
      for (int32_t n : p->nodes) users.remove(n);
    std::set<int> reach = reached_from(users);
    if (reach.count(a) || reach.count(b)) return a;
    const bool swap = second.nodes.size() > first.nodes.size();
    const int keep = swap ? b : a, drop = swap ? a : b;
    Part& kept = parts_.at(keep);
    const Part& dropped = parts_.at(drop);
    for (int32_t n : dropped.nodes) {
      kept.nodes.push_back(n);
      part_of_[static_cast<size_t>(n)] = keep;
    }
    kept.order = std::min(kept.order, dropped.order);
    kept.users = std::move(users);
    reach.insert(first.reach.begin(), first.reach.end());
    reach.insert(second.reach.begin(), second.reach.end());
    reach.erase(a);
    reach.erase(b);
    kept.reach = std::move(reach);
    parts_.erase(drop);
    // Whatever reached the part that is gone now reaches the one that holds its nodes.
    for (auto& [id, part] : parts_)
      if (part.reach.erase(drop)) part.reach.insert(keep);
    return keep;
  }

  const Dag& dag_;
  size_t count_;
  int next_ = 0;
  std::vector<NodeSet> downstream_;
  std::vector<int> part_of_;
  std::map<int, Part> parts_;
};

}  // namespace

std::vector<std::vector<int32_t>> capability_partitions(const Dag& dag) {
  // With nothing outside there is one part, and no need for the quadratic reachability.
  if (std::all_of(dag.supported.begin(), dag.supported.end(), [](bool s) { return s; })) {
    std::vector<int32_t> all(dag.users.size());
    for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int32_t>(i);
    if (all.empty()) return {};
    return {all};
  }
  return Partitioner(dag).run();
}

}  // namespace cortland::partition
