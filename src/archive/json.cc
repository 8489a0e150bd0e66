#include "archive/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <vector>

#include "archive/printable.h"

namespace cortland::archive {

struct JsonTree {
  simdjson::dom::parser parser;  // owns the values
  simdjson::dom::element root;
  std::string name;
};

namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;

// ---- before parsing ----

// -1 when the four characters are not hexadecimal.
int32_t hex4(const char* text) {
  int32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = text[i];
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

// The code unit of the \uXXXX escape at `at`, -1 when there is none.
int32_t escape_at(const char* at, const char* end) {
  return end - at >= 6 && at[0] == '\\' && at[1] == 'u' ? hex4(at + 2) : -1;
}

// Half of a surrogate pair is no text, yet Python writes it into traces. It becomes U+FFFD, in place: same length.
void replace_lone_surrogates(char* text, size_t size) {
  char* const end = text + size;
  for (char* at = text; (at = static_cast<char*>(std::memchr(at, '\\', static_cast<size_t>(end - at)))) != nullptr;) {
    const int32_t unit = escape_at(at, end);
    if (unit < 0xd800 || unit > 0xdfff) {
      at += std::min<ptrdiff_t>(2, end - at);
      continue;
    }
    const int32_t next = escape_at(at + 6, end);
    if (unit < 0xdc00 && next >= 0xdc00 && next <= 0xdfff) {
      at += 12;
      continue;
    }
    std::memcpy(at + 2, "fffd", 4);
    at += 6;
  }
}

constexpr std::string_view kNonFinite[] = {"NaN", "Infinity", "-Infinity"};

// Puts bare NaN and infinities in quotes. Nothing else changes, so what was not JSON stays no JSON.
std::string quote_non_finite(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 16);
  bool in_string = false;
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '"') in_string = !in_string;
    const bool escape = in_string && c == '\\';
    size_t length = escape && i + 1 < text.size() ? 2 : 1;
    bool quoted = false;
    if (!in_string && (c == 'N' || c == 'I' || c == '-'))
      for (const auto word : kNonFinite)
        if (text.substr(i).starts_with(word)) length = word.size(), quoted = true;
    if (quoted) out += '"';
    out += text.substr(i, length);
    if (quoted) out += '"';
    i += length;
  }
  return out;
}

// ---- places ----

// simdjson keeps the position of an element to itself. It is needed for messages only: from it, path() finds the way down
// from the root.
struct Position {
  const void* document;
  size_t index;
};
static_assert(sizeof(Position) == sizeof(element) && std::is_trivially_copyable_v<element>);

size_t position_of(element e) { return std::bit_cast<Position>(e).index; }

void append_key(std::string& path, std::string_view key) {
  const bool plain =
      !key.empty() && std::all_of(key.begin(), key.end(), [](unsigned char c) { return std::isalnum(c) || c == '_'; });
  if (plain)
    path += fmt::format("{}{}", path.empty() ? "" : ".", key);
  else
    path += fmt::format("[\"{}\"]", printable(key, 80));
}

// Repeated keys of an object, found without an allocation when it is small.
std::optional<std::string_view> repeated_key(simdjson::dom::object object) {
  constexpr size_t kSmall = 12;
  std::string_view small[kSmall];
  size_t count = 0;
  for (const auto field : object) {
    if (count == kSmall) break;
    if (std::find(small, small + count, field.key) != small + count) return field.key;
    small[count++] = field.key;
  }
  if (count < kSmall) return std::nullopt;
  std::vector<std::string_view> keys;
  keys.reserve(object.size());
  for (const auto field : object) keys.push_back(field.key);
  std::sort(keys.begin(), keys.end());
  const auto twin = std::adjacent_find(keys.begin(), keys.end());
  return twin == keys.end() ? std::nullopt : std::optional(*twin);
}

std::string_view type_name(element e) {
  switch (e.type()) {
    case element_type::ARRAY:
      return "an array";
    case element_type::OBJECT:
      return "an object";
    case element_type::INT64:
    case element_type::UINT64:
      return "an integer";
    case element_type::DOUBLE:
      return "a number";
    case element_type::STRING:
      return "a string";
    case element_type::BOOL:
      return "a boolean";
    case element_type::NULL_VALUE:
      return "null";
  }
  return "unknown";
}

std::string_view explain(simdjson::error_code code) {
  switch (code) {
    case simdjson::DEPTH_ERROR:
      return "it is nested too deeply";
    case simdjson::UTF8_ERROR:
      return "it is not UTF-8 text";
    case simdjson::EMPTY:
      return "it is empty";
    case simdjson::UNCLOSED_STRING:
      return "a string does not end";
    case simdjson::NUMBER_ERROR:
      return "a number is malformed or too large";
    case simdjson::STRING_ERROR:
      return "a string is malformed";
    case simdjson::MEMALLOC:
      return "there is not enough memory for it";
    default:
      return "it is malformed or cut off";
  }
}

}  // namespace

Result<JsonDocument> parse_json(std::string_view text, std::string name, JsonOptions options) {
  const auto bad = [&](std::string_view why) {
    return diag(DiagKind::BadJson, fmt::format("'{}' cannot be read as JSON: {}", name, why));
  };
  if (text.size() > options.max_size)
    return bad(fmt::format("{} bytes are more than the limit of {}", text.size(), options.max_size));
  simdjson::padded_string padded(options.bare_non_finite ? quote_non_finite(text) : text);
  if (padded.data() == nullptr) return bad(explain(text.empty() ? simdjson::EMPTY : simdjson::MEMALLOC));
  replace_lone_surrogates(padded.data(), padded.size());
  auto tree = std::make_shared<JsonTree>();
  auto code = tree->parser.allocate(std::max<size_t>(padded.size(), 64), options.max_depth);
  if (code == simdjson::SUCCESS) code = tree->parser.parse(padded).get(tree->root);
  if (code != simdjson::SUCCESS) return bad(explain(code));
  tree->name = std::move(name);
  return JsonDocument(std::move(tree));
}

Json JsonDocument::root() const { return {tree_->root, tree_.get()}; }

std::string Json::path() const {
  const size_t target = position_of(element_);
  std::string path;
  for (element here = tree_->root; position_of(here) < target;) {
    // The child that holds the target is the last one that does not start after it.
    std::optional<element> next;
    std::string_view key;
    size_t index = 0;
    simdjson::dom::array array;
    simdjson::dom::object object;
    if (here.get(array) == simdjson::SUCCESS) {
      for (const element child : array) {
        if (position_of(child) > target) break;
        index = next ? index + 1 : 0;
        next = child;
      }
    } else if (here.get(object) == simdjson::SUCCESS) {
      for (const auto field : object) {
        if (position_of(field.value) > target) break;
        key = field.key;
        next = field.value;
      }
    }
    if (!next) break;
    if (here.is_array())
      path += fmt::format("[{}]", index);
    else
      append_key(path, key);
    here = *next;
  }
  return path;
}

Diagnostic Json::error(std::string_view what) const {
  const auto place = path();
  return diag(DiagKind::BadJson, fmt::format("{}: {}{}{}", tree_->name, place, place.empty() ? "" : ": ", what));
}

Diagnostic Json::wrong_type(std::string_view wanted) const {
  return error(fmt::format("{} expected, found {}", wanted, type_name(element_)));
}

bool Json::is_integer() const { return element_.type() == element_type::INT64 || element_.type() == element_type::UINT64; }

Result<bool> Json::as_bool() const {
  bool value = false;
  if (element_.get(value) != simdjson::SUCCESS) return wrong_type("a boolean");
  return value;
}

Result<int64_t> Json::as_int64() const {
  int64_t value = 0;
  if (element_.type() == element_type::UINT64) return error("the integer does not fit 64 bits with a sign");
  if (element_.get(value) != simdjson::SUCCESS) return wrong_type("an integer");
  return value;
}

Result<uint64_t> Json::as_uint64() const {
  uint64_t value = 0;
  const auto code = element_.get(value);
  if (code == simdjson::NUMBER_OUT_OF_RANGE) return error("the integer must not be negative");
  if (code != simdjson::SUCCESS) return wrong_type("an integer");
  return value;
}

Result<double> Json::as_double() const {
  double value = 0;
  if (std::string_view text; element_.get(text) == simdjson::SUCCESS) {
    if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
    if (text == "Infinity") return std::numeric_limits<double>::infinity();
    if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
  }
  if (element_.get(value) != simdjson::SUCCESS) return wrong_type("a number");
  return value;
}

Result<std::string_view> Json::as_string() const {
  std::string_view value;
  if (element_.get(value) != simdjson::SUCCESS) return wrong_type("a string");
  return value;
}

Result<std::optional<Json>> Json::lookup(std::string_view key) const {
  simdjson::dom::object object;
  if (element_.get(object) != simdjson::SUCCESS) return wrong_type("an object");
  std::optional<Json> found;
  for (const auto field : object) {
    if (field.key != key) continue;
    if (found) return error(fmt::format("the field '{}' is there twice", printable(key)));
    found = Json(field.value, tree_);
  }
  return found;
}

Result<Json> Json::field(std::string_view key) const {
  TRY(const auto found, lookup(key));
  if (!found) return error(fmt::format("the field '{}' is missing", printable(key)));
  return *found;
}

Result<std::optional<Json>> Json::optional_field(std::string_view key) const {
  TRY(auto found, lookup(key));
  if (found && found->is_null()) found.reset();
  return found;
}

Result<std::pair<std::string_view, Json>> Json::only_field() const {
  simdjson::dom::object object;
  if (element_.get(object) != simdjson::SUCCESS) return wrong_type("an object");
  if (object.size() != 1) return error(fmt::format("exactly one field expected, found {}", object.size()));
  const auto only = object.begin();
  return std::pair(only.key(), Json(only.value(), tree_));
}

Result<JsonItems> Json::items() const {
  simdjson::dom::array array;
  if (element_.get(array) != simdjson::SUCCESS) return wrong_type("an array");
  return JsonItems(array, tree_);
}

Result<JsonFields> Json::fields() const {
  simdjson::dom::object object;
  if (element_.get(object) != simdjson::SUCCESS) return wrong_type("an object");
  if (const auto twin = repeated_key(object)) return error(fmt::format("the field '{}' is there twice", printable(*twin)));
  return JsonFields(object, tree_);
}

}  // namespace cortland::archive
