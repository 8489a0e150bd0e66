#include <fmt/format.h>

#include <mutex>
#include <string>
#include <unordered_map>

#include "torch_ops/op.h"

namespace cortland::torch_ops {

#define FAMILY(table) extern const std::span<const TorchOp> table;
#include "torch_ops/families.def"
#undef FAMILY

namespace {

// A program has some ten operators, and reading all schemas takes longer than lowering it: each is read when it is asked for.
class Entry {
 public:
  explicit Entry(const TorchOp& table_entry) : op(table_entry) {}

  const torch::Schema& schema() const {
    std::call_once(read_, [this] {
      auto schema = torch::parse_schema(op.schema);
      CHECK(schema.ok(), fmt::format("schema '{}': {}", op.schema, schema.ok() ? "" : schema.error().what));
      schema_ = std::move(*schema);
    });
    return schema_;
  }

  TorchOp op;

 private:
  mutable std::once_flag read_;
  mutable torch::Schema schema_;
};

struct Registry {
  std::vector<const TorchOp*> ops;
  std::unordered_map<std::string_view, Entry> by_name;  // "aten::gelu", "aten::add.Tensor"
};

std::string_view name_of(const TorchOp& op) { return op.schema.substr(0, op.schema.find('(')); }

// The name that the schema of "aten.gelu.default" or "aten.add.Tensor" begins with.
std::string name_of(std::string_view target) {
  constexpr std::string_view kUnnamed = ".default";
  if (target.ends_with(kUnnamed)) target.remove_suffix(kUnnamed.size());
  const size_t dot = target.find('.');
  if (dot == std::string_view::npos) return std::string(target);
  return std::string(target.substr(0, dot)).append("::").append(target.substr(dot + 1));
}

void add(Registry& registry, std::span<const TorchOp> table) {
  for (const TorchOp& op : table) {
    const auto [it, inserted] = registry.by_name.try_emplace(name_of(op), op);
    CHECK(inserted, fmt::format("two entries for '{}'", op.schema));
    registry.ops.push_back(&it->second.op);
  }
}

// Other spellings lower as what they spell.
void resolve_spellings(Registry& registry) {
  for (auto& [name, entry] : registry.by_name) {
    if (entry.op.same_as.empty()) continue;
    const auto it = registry.by_name.find(name_of(entry.op.same_as));
    CHECK(it != registry.by_name.end() && it->second.op.same_as.empty(), fmt::format("'{}' is the same as nothing", name));
    entry.op.lower = it->second.op.lower;
  }
}

const Registry& registry() {
  static const Registry built = [] {
    constexpr size_t kExpected = 1024;
    Registry r;
    r.by_name.reserve(kExpected);
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
  const auto& map = registry().by_name;
  auto it = map.find(name_of(target));
  if (it == map.end()) it = map.find(name_of(without_copy(target)));
  return it == map.end() ? nullptr : &it->second;
}

}  // namespace

const TorchOp* find_op(std::string_view target) {
  const Entry* entry = find_entry(target);
  return entry ? &entry->op : nullptr;
}

const torch::Schema* find_schema(std::string_view target) {
  const Entry* entry = find_entry(target);
  return entry ? &entry->schema() : nullptr;
}

std::vector<const TorchOp*> all_ops() { return registry().ops; }

std::string edge_name(const std::string& target) {
  const TorchOp* op = find_op(target);
  return op && !op->edge.empty() ? std::string(op->edge) : target;
}

}  // namespace cortland::torch_ops
