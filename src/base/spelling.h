// What somebody may have meant who misspelt a name. Free functions; any thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace cortland {

// Insertions, deletions and replacements that make `b` of `a`. Takes time of the product of the lengths.
size_t edit_distance(std::string_view a, std::string_view b);

using NameDistance = std::function<size_t(std::string_view wrong, std::string_view known)>;

// "did you mean a or b?": at most three of the names nearest to one that is wrong. Empty when none is within `furthest`.
std::string did_you_mean(std::string_view wrong, const std::vector<std::string_view>& known, size_t furthest,
                         const NameDistance& distance = edit_distance);

}  // namespace cortland
