#include "mil/target.h"

#include <strings.h>

#include <string>

namespace cortland::mil {
namespace {

struct TargetInfo {
  Target target;
  const char *ios, *macos, *watchos, *tvos, *opset;
  int version;
};

constexpr TargetInfo kTargets[] = {
    {Target::iOS15, "iOS15", "macOS12", "watchOS8", "tvOS15", "CoreML5", 6},
    {Target::iOS16, "iOS16", "macOS13", "watchOS9", "tvOS16", "CoreML6", 7},
    {Target::iOS17, "iOS17", "macOS14", "watchOS10", "tvOS17", "CoreML7", 8},
    {Target::iOS18, "iOS18", "macOS15", "watchOS11", "tvOS18", "CoreML8", 9},
    {Target::iOS26, "iOS26", "macOS26", "watchOS26", "tvOS26", "CoreML9", 10},
};

const TargetInfo& info(Target t) { return kTargets[static_cast<int>(t)]; }

}  // namespace

std::string_view target_name(Target t) { return info(t).ios; }
std::string_view opset_name(Target t) { return info(t).opset; }
int specification_version(Target t) { return info(t).version; }

std::optional<Target> target_from_name(std::string_view name) {
  const std::string text(name);
  for (const auto& t : kTargets)
    for (const char* known : {t.ios, t.macos, t.watchos, t.tvos})
      if (strcasecmp(text.c_str(), known) == 0) return t.target;
  return std::nullopt;
}

std::optional<Target> target_from_opset(std::string_view opset) {
  for (const auto& t : kTargets)
    if (opset == t.opset) return t.target;
  return std::nullopt;
}

std::optional<Target> target_from_version(int version) {
  for (const auto& t : kTargets)
    if (version == t.version) return t.target;
  return std::nullopt;
}

}  // namespace cortland::mil
