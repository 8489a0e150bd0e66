#include "base/spelling.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

namespace cortland {
namespace {

constexpr size_t kLongestName = 200;
constexpr size_t kMost = 3;
constexpr size_t kAsGood = 2;  // how much further than the nearest others may be

}  // namespace

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0]++;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row[b.size()];
}

std::string did_you_mean(std::string_view wrong, const std::vector<std::string_view>& known, size_t furthest,
                         const NameDistance& distance) {
  std::vector<std::pair<size_t, std::string_view>> found;
  for (const std::string_view name : known) found.emplace_back(distance(wrong.substr(0, kLongestName), name), name);
  std::ranges::sort(found);
  std::vector<std::string_view> names;
  for (const auto& [far, name] : found)
    if (names.size() < kMost && far <= furthest && far <= found[0].first + kAsGood) names.push_back(name);
  return names.empty() ? "" : fmt::format("did you mean {}?", fmt::join(names, " or "));
}

}  // namespace cortland
