// With f(k) the least squared error of k clusters, f is convex. So for a price p on each cluster, the k that makes f(k) + p
// k least falls as p rises, and a search over p finds the k that is wanted (Aggarwal, Schieber, Tokuyama: "Finding a
// minimum-weight k-link path in graphs with the concave Monge property", 1994). For one price the best partition takes
// O(n log n), whatever k is, and no table (Galil, Park 1992).
#include "compression/kmeans.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/result.h"

namespace cortland::compression {
namespace {

using Cuts = std::vector<int32_t>;  // 0, ..., n: cluster i is [cuts[i], cuts[i + 1])

class Line {
 public:
  explicit Line(const Distribution& d)
      : n_(static_cast<int32_t>(d.values.size())), weight_(d.values.size() + 1, 0.0), sum_(weight_) {
    double total = 0, weights = 0;
    for (size_t i = 0; i < d.values.size(); ++i) {
      total += d.values[i] * d.counts[i];
      weights += d.counts[i];
    }
    mean_ = total / weights;
    for (size_t i = 0; i < d.values.size(); ++i) {
      const double x = d.values[i] - mean_;  // small sums keep their digits
      weight_[i + 1] = weight_[i] + d.counts[i];
      sum_[i + 1] = sum_[i] + x * d.counts[i];
      spread_ += x * x * d.counts[i];
    }
  }

  int32_t size() const { return n_; }
  double spread() const { return spread_; }  // the error of a single cluster
  double centre(int32_t i, int32_t j) const {
    return mean_ + (sum_[at(j)] - sum_[at(i)]) / (weight_[at(j)] - weight_[at(i)]);
  }

  // The partition with the least error, each cluster paid with `price`.
  Cuts best(double price) const {
    std::vector<double> least(static_cast<size_t>(n_) + 1, 0.0);
    std::vector<int32_t> previous(least.size(), 0);
    // Values i, each the best last cut for ends from `first` on, up to where the next one begins.
    struct Candidate {
      int32_t i, first;
    };
    std::vector<Candidate> queue = {{0, 1}};
    size_t head = 0;
    // What of the error depends on the cut: the squares alone add up to the same for all partitions.
    const auto cost = [&](int32_t i, int32_t j) {
      const double s = sum_[at(j)] - sum_[at(i)];
      return least[at(i)] + price - s * s / (weight_[at(j)] - weight_[at(i)]);
    };
    for (int32_t j = 1; j <= n_; ++j) {
      while (head + 1 < queue.size() && queue[head + 1].first <= j) ++head;
      previous[at(j)] = queue[head].i;
      least[at(j)] = cost(queue[head].i, j);
      if (j == n_) break;
      while (queue.size() > head &&
             cost(j, std::max(queue.back().first, j + 1)) <= cost(queue.back().i, std::max(queue.back().first, j + 1)))
        queue.pop_back();
      if (queue.size() == head) {
        queue.push_back({j, j + 1});
      } else if (cost(j, n_) < cost(queue.back().i, n_)) {
        int32_t worse = std::max(queue.back().first, j + 1), better = n_;  // once j is the better cut, it stays so
        while (better - worse > 1) {
          const int32_t middle = worse + (better - worse) / 2;
          (cost(j, middle) < cost(queue.back().i, middle) ? better : worse) = middle;
        }
        queue.push_back({j, better});
      }
    }
    Cuts cuts = {n_};
    while (cuts.back() > 0) cuts.push_back(previous[at(cuts.back())]);
    std::reverse(cuts.begin(), cuts.end());
    return cuts;
  }

 private:
  static size_t at(int32_t i) { return static_cast<size_t>(i); }

  int32_t n_;
  std::vector<double> weight_, sum_;  // of the first i values; sums relative to the mean
  double mean_ = 0, spread_ = 0;
};

int clusters_of(const Cuts& cuts) { return static_cast<int>(cuts.size()) - 1; }

// Two partitions that are best for the same price, one with fewer and one with more clusters than wanted: where a cluster of
// the first holds one of the second, `many` up to there and `few` from there on are best too, and have any number in
// between.
Cuts cross(const Cuts& few, const Cuts& many, int wanted) {
  const auto ahead = static_cast<size_t>(wanted - clusters_of(few));
  for (size_t i = 0; i + 1 < few.size() && i + ahead + 1 < many.size(); ++i) {
    const size_t j = i + ahead;
    if (few[i] > many[j] || many[j + 1] > few[i + 1]) continue;
    Cuts cuts(many.begin(), many.begin() + static_cast<int64_t>(j) + 1);
    cuts.insert(cuts.end(), few.begin() + static_cast<int64_t>(i) + 1, few.end());
    return cuts;
  }
  return few;
}

Cuts partition(const Line& line, int wanted) {
  double low = line.spread() * 1e-18, high = line.spread() * 1.01;
  Cuts few = {0, line.size()}, many;
  double price = 5 * line.spread() / std::pow(wanted, 3.0);  // for an even distribution f(k) goes with 1 / k^2
  for (int i = 0; i < 100 && high > low * (1 + 1e-13); ++i) {
    if (!(price > low && price < high)) price = std::sqrt(low * high);
    Cuts cuts = line.best(price);
    const int clusters = clusters_of(cuts);
    if (clusters == wanted) return cuts;
    (clusters < wanted ? high : low) = price;
    (clusters < wanted ? few : many) = std::move(cuts);
    const double guess = price * std::pow(static_cast<double>(clusters) / wanted, 3.0);
    price = i < 20 ? guess : 0.0;  // 0: halve the interval
  }
  if (many.empty()) many = line.best(0);
  return cross(few, many, wanted);
}

}  // namespace

std::vector<float> kmeans(const Distribution& distribution, int clusters) {
  CHECK(clusters > 0 && !distribution.values.empty());
  if (distribution.values.size() <= static_cast<size_t>(clusters)) return distribution.values;
  const Line line(distribution);
  const Cuts cuts = partition(line, clusters);
  std::vector<float> centres;
  for (size_t i = 0; i + 1 < cuts.size(); ++i) centres.push_back(static_cast<float>(line.centre(cuts[i], cuts[i + 1])));
  return centres;
}

}  // namespace cortland::compression
