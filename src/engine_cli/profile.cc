#include "engine_cli/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

namespace cortland::engine_cli {
namespace {

constexpr size_t kMostSteps = 20;

template <class Lines>
auto by_time(const Lines& lines) {
  std::vector<const typename Lines::value_type*> sorted;
  for (const auto& line : lines) sorted.push_back(&line);
  std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->second.seconds > b->second.seconds; });
  return sorted;
}

}  // namespace

void Profile::add(std::string_view kind, std::string_view name, double seconds, bool fast) {
  for (Line* line : {&kinds_[std::string(kind)], &steps_[{std::string(name), std::string(kind)}]}) {
    ++line->count;
    line->fast += fast;
    line->seconds += seconds;
  }
}

void Profile::clear() {
  kinds_.clear();
  steps_.clear();
}

void Profile::print(int runs) const {
  const double scale = 1e3 / std::max(runs, 1);
  double total = 0;
  for (const auto& [kind, line] : kinds_) total += line.seconds;
  const auto percent = [&](const Line& line) { return total > 0 ? 100 * line.seconds / total : 0; };
  fmt::print(stderr, "{:>10} {:>6} {:>6} {:>6}  op\n", "ms", "%", "calls", "fast");
  for (const auto* entry : by_time(kinds_)) {
    const Line& line = entry->second;
    fmt::print(stderr, "{:>10.3f} {:>6.1f} {:>6} {:>6}  {}\n", line.seconds * scale, percent(line), line.count / std::max(runs, 1),
               line.fast / std::max(runs, 1), entry->first);
  }
  fmt::print(stderr, "{:>10.3f} {:>6.1f}\n\n{:>10} {:>6}  {:<10} op, step\n", total * scale, 100.0, "ms", "%", "kernel");
  const auto steps = by_time(steps_);
  for (size_t i = 0; i < std::min(kMostSteps, steps.size()); ++i) {
    const auto& [key, line] = *steps[i];
    fmt::print(stderr, "{:>10.3f} {:>6.1f}  {:<10} {}, {}\n", line.seconds * scale, percent(line), line.fast ? "fast" : "reference",
               key.second, key.first);
  }
}

}  // namespace cortland::engine_cli
