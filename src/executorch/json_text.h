// The small JSON texts inside a .pte, spelled as Python's json.dumps spells them. Internal to this layer.
#pragma once

#include <nlohmann/json.hpp>

#include "base/result.h"

namespace cortland::executorch {

using Json = nlohmann::json;                 // for reading
using OrderedJson = nlohmann::ordered_json;  // for writing: keeps the order of keys, at a price in time

// One line, ", " and ": " between things, everything outside ASCII escaped.
std::string json_text(const OrderedJson& value);

// `what` names the text in the error: "metadata.json".
Result<Json> parse_json(std::string_view text, DiagKind kind, std::string_view what);
Result<OrderedJson> parse_ordered_json(std::string_view text, DiagKind kind, std::string_view what);

// An object's member of the type asked for, or null.
const Json* member(const Json& object, const char* key, Json::value_t type);
// The same for an integer that is not negative.
const Json* count_member(const Json& object, const char* key);
// A list of strings, or nothing.
std::optional<std::vector<std::string>> strings(const Json* list);

}  // namespace cortland::executorch
