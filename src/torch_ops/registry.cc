#include <fmt/format.h>

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

void add(Registry& registry, std::span<const TorchOp> table) {
  for (const TorchOp& op : table) {
    auto schema = torch::parse_schema(op.schema);
    CHECK(schema.ok(), fmt::format("schema '{}': {}", op.schema, schema.ok() ? "" : schema.error().what));
    std::string target = schema->target();
    const auto [it, inserted] = registry.by_target.emplace(std::move(target), Entry{op, std::move(*schema)});
    CHECK(inserted, fmt::format("two entries for '{}'", op.schema));
    registry.ops.push_back(&it->second.op);
  }
}

// Other spellings lower as what they spell.
void resolve_spellings(Registry& registry) {
  for (auto& [target, entry] : registry.by_target) {
    if (entry.op.same_as.empty()) continue;
    const auto it = registry.by_target.find(std::string(entry.op.same_as));
    CHECK(it != registry.by_target.end() && it->second.op.same_as.empty(), fmt::format("'{}' is the same as nothing", target));
    entry.op.lower = it->second.op.lower;
  }
}

const Registry& registry() {
  static const Registry built = [] {
    Registry r;
#define FAMILY(table) add(r, table);
#include "torch_ops/families.def"
#undef FAMILY
    resolve_spellings(r);
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

std::string edge_name(const std::string& target) {
  const TorchOp* op = find_op(target);
  return op && !op->edge.empty() ? std::string(op->edge) : target;
}

}  // namespace cortland::torch_ops
