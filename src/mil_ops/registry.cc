#include <algorithm>
#include <vector>

#include "mil_ops/ops.h"

namespace cortland::mil_ops {
namespace {

const std::vector<const mil::MilOp*>& table() {
  static const std::vector<const mil::MilOp*> sorted = [] {
    std::vector<const mil::MilOp*> ops = {
#define MIL_OP(name) &name,
#include "mil_ops/ops.def"
#undef MIL_OP
    };
    std::sort(ops.begin(), ops.end(), [](const mil::MilOp* a, const mil::MilOp* b) {
      return a->name != b->name ? a->name < b->name : a->since < b->since;
    });
    return ops;
  }();
  return sorted;
}

auto first_of(std::string_view name) {
  return std::lower_bound(table().begin(), table().end(), name, [](const mil::MilOp* op, std::string_view n) { return op->name < n; });
}

}  // namespace

const mil::MilOp* find(std::string_view name, mil::Target target) {
  const mil::MilOp* found = nullptr;
  for (auto it = first_of(name); it != table().end() && (*it)->name == name && (*it)->since <= target; ++it) found = *it;
  return found;
}

bool exists(std::string_view name) {
  const auto it = first_of(name);
  return it != table().end() && (*it)->name == name;
}

mil::Target introduced(std::string_view name) {
  CHECK(exists(name));
  return (*first_of(name))->since;
}

std::span<const mil::MilOp* const> all() { return table(); }

}  // namespace cortland::mil_ops
