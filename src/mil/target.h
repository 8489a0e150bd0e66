// Minimum deployment targets and what follows from them: specification version and op set.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace cortland::mil {

enum class Target : uint8_t { iOS15, iOS16, iOS17, iOS18, iOS26 };

std::string_view target_name(Target t);             // "iOS15"
std::string_view opset_name(Target t);              // "CoreML5"
int specification_version(Target t);                // 6
// Accepts iOS15, macOS12, watchOS8, tvOS15 and their successors, in any case.
std::optional<Target> target_from_name(std::string_view name);
std::optional<Target> target_from_opset(std::string_view opset);
std::optional<Target> target_from_version(int specification_version);

}  // namespace cortland::mil
