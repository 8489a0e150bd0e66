#include <fmt/format.h>

#include <deque>
#include <string>
#include <unordered_map>

#include "torch_ops/op.h"

namespace cortland::torch_ops {

#define FAMILY(table) extern const std::span<const TorchOp> table;
#include "torch_ops/families.def"
#undef FAMILY

namespace {

struct Entry {
  TorchOp op;
  torch::Schema schema;
};

struct Registry {
  std::vector<const TorchOp*> ops;
  std::unordered_map<std::string, Entry> by_target;
};

const Registry& registry() {
  static const Registry built = [] {
    Registry r;
    auto add = [&](std::span<const TorchOp> table) {
      for (const TorchOp& op : table) {
        auto schema = torch::parse_schema(op.schema);
        CHECK(schema.ok(), fmt::format("schema '{}': {}", op.schema, schema.ok() ? "" : schema.error().what));
        std::string target = schema->target();
        const auto [it, inserted] = r.by_target.emplace(std::move(target), Entry{op, std::move(*schema)});
        if (inserted) {
          r.ops.push_back(&it->second.op);
          continue;
        }
        // How an operator is lowered and how it is taken apart may stand in two tables.
        TorchOp& known = it->second.op;
        CHECK(!(known.lower && op.lower) && !(known.decompose && op.decompose), fmt::format("two entries for '{}'", op.schema));
        if (op.lower) known.lower = op.lower;
        if (op.decompose) known.decompose = op.decompose;
      }
    };
#define FAMILY(table) add(table);
#include "torch_ops/families.def"
#undef FAMILY
    return r;
  }();
  return built;
}

// "aten.permute_copy.default" means what "aten.permute.default" does once views are gone.
std::string without_copy(std::string_view target) {
  const size_t at = target.find("_copy.");
  return at == std::string_view::npos ? std::string() : std::string(target.substr(0, at)) + std::string(target.substr(at + 5));
}

const Entry* find_entry(std::string_view target) {
  const auto& map = registry().by_target;
  auto it = map.find(std::string(target));
  if (it == map.end()) it = map.find(without_copy(target));
  // Higher-order operators have no overloads.
  if (it == map.end() && target.starts_with("higher_order.")) it = map.find(std::string(target) + ".default");
  return it == map.end() ? nullptr : &it->second;
}

}  // namespace

const TorchOp* find_op(std::string_view target) {
  const Entry* entry = find_entry(target);
  return entry ? &entry->op : nullptr;
}

const torch::Schema* find_schema(std::string_view target) {
  const Entry* entry = find_entry(target);
  return entry ? &entry->schema : nullptr;
}

std::vector<const TorchOp*> all_ops() { return registry().ops; }

}  // namespace cortland::torch_ops
