#include "base/diagnostic.h"

#include <fmt/format.h>

namespace cortland {
namespace {

struct KindInfo {
  std::string_view id, help;
};

constexpr KindInfo kKinds[] = {
#define DIAG(name, id, help) {id, help},
#include "base/diag.def"
#undef DIAG
};

}  // namespace

std::string_view diag_id(DiagKind kind) { return kKinds[static_cast<int>(kind)].id; }
std::string_view diag_default_help(DiagKind kind) { return kKinds[static_cast<int>(kind)].help; }

std::string render(const Diagnostic& d, std::string_view severity) {
  std::string out = fmt::format("{}[{}] {}{}{}\n", severity, diag_id(d.kind), d.op, d.op.empty() ? "" : ": ", d.what);
  if (!d.node.empty()) out += fmt::format("  node  {}\n", d.node);
  if (!d.source.empty()) out += fmt::format("  at    {}\n", d.source);
  if (!d.remedy().empty()) out += fmt::format("  help  {}\n", d.remedy());
  return out;
}

}  // namespace cortland
