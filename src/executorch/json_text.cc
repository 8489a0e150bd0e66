#include "executorch/json_text.h"

#include <fmt/format.h>

namespace cortland::executorch {
namespace {

constexpr int kMaxDepth = 64;  // our texts have five levels; what walks a value calls itself

bool too_deep(std::string_view text) {
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '\\')
      ++i;
    else if (c == '"')
      quoted = !quoted;
    else if (!quoted && (c == '[' || c == '{') && ++depth > kMaxDepth)
      return true;
    else if (!quoted && (c == ']' || c == '}'))
      --depth;
  }
  return false;
}

template <class Value>
Result<Value> parse(std::string_view text, DiagKind kind, std::string_view what) {
  if (too_deep(text)) return diag(kind, fmt::format("{} is nested more than {} levels deep", what, kMaxDepth));
  auto value = Value::parse(text, nullptr, false);
  if (value.is_discarded()) return diag(kind, fmt::format("{} is not JSON", what));
  return value;
}

std::string scalar_text(const OrderedJson& value) {
  return value.dump(-1, ' ', true, OrderedJson::error_handler_t::replace);
}

}  // namespace

std::string json_text(const OrderedJson& value) {
  std::string out;
  if (value.is_object()) {
    for (const auto& [key, item] : value.items())
      out += fmt::format("{}{}: {}", out.empty() ? "" : ", ", scalar_text(key), json_text(item));
    return "{" + out + "}";
  }
  if (!value.is_array()) return scalar_text(value);
  for (const auto& item : value) out += (out.empty() ? "" : ", ") + json_text(item);
  return "[" + out + "]";
}

Result<Json> parse_json(std::string_view text, DiagKind kind, std::string_view what) {
  return parse<Json>(text, kind, what);
}

Result<OrderedJson> parse_ordered_json(std::string_view text, DiagKind kind, std::string_view what) {
  return parse<OrderedJson>(text, kind, what);
}

const Json* member(const Json& object, const char* key, Json::value_t type) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(key);
  return it != object.end() && it->type() == type ? &*it : nullptr;
}

const Json* count_member(const Json& object, const char* key) { return member(object, key, Json::value_t::number_unsigned); }

std::optional<std::vector<std::string>> strings(const Json* list) {
  if (!list || !list->is_array()) return std::nullopt;
  std::vector<std::string> out;
  for (const auto& item : *list) {
    if (!item.is_string()) return std::nullopt;
    out.push_back(item.get<std::string>());
  }
  return out;
}

}  // namespace cortland::executorch
