// JSON for our readers: a thin layer over simdjson's DOM whose accessors return a Result that names the file and the place,
// as in "graph.nodes[3].inputs". A JsonDocument owns its tree; a Json is a small handle into it that must not outlive it.
// Immutable once parsed, so any number of threads may read.
#pragma once

#include <simdjson.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/file.h"

namespace cortland::archive {

struct JsonOptions {
  // torch up to 2.6 writes NaN, Infinity and -Infinity as bare words. Read as the strings newer versions write.
  bool bare_non_finite = false;
  size_t max_depth = 256;
  size_t max_size = size_t{512} << 20;
};

// Lives in json.cc: the layout of simdjson's parser depends on the flags it is compiled with.
struct JsonTree;

class JsonItems;
class JsonFields;

class Json {
 public:
  Json(simdjson::dom::element element, const JsonTree* tree) : element_(element), tree_(tree) {}

  bool is_null() const { return element_.is_null(); }
  bool is_bool() const { return element_.is_bool(); }
  bool is_string() const { return element_.is_string(); }
  bool is_object() const { return element_.is_object(); }
  bool is_array() const { return element_.is_array(); }
  bool is_integer() const;  // written without fraction and exponent
  bool is_number() const { return element_.is_number(); }

  Result<bool> as_bool() const;
  Result<int64_t> as_int64() const;
  Result<uint64_t> as_uint64() const;
  Result<double> as_double() const;            // also the strings "NaN", "Infinity", "-Infinity"
  Result<std::string_view> as_string() const;  // UTF-8; lone surrogates have become U+FFFD

  // Field of an object. An object that holds the key twice is an error.
  Result<Json> field(std::string_view key) const;
  Result<std::optional<Json>> optional_field(std::string_view key) const;  // nullopt when absent or null
  // A union: the one field of an object that must have exactly one.
  Result<std::pair<std::string_view, Json>> only_field() const;

  // for (Json item : items), for (auto [key, value] : fields). Repeated keys are refused.
  Result<JsonItems> items() const;
  Result<JsonFields> fields() const;

  std::string path() const;                       // "graph.nodes[3].inputs"; empty for the root
  Diagnostic error(std::string_view what) const;  // "file.json: graph.nodes[3].inputs: what"

 private:
  Diagnostic wrong_type(std::string_view wanted) const;
  // The value of `key` when it is there.
  Result<std::optional<Json>> lookup(std::string_view key) const;

  simdjson::dom::element element_;
  const JsonTree* tree_;
};

class JsonItems {
 public:
  class iterator {
   public:
    iterator(simdjson::dom::array::iterator at, const JsonTree* tree) : at_(at), tree_(tree) {}
    Json operator*() const { return {*at_, tree_}; }
    iterator& operator++() { return ++at_, *this; }
    bool operator!=(const iterator& other) const { return at_ != other.at_; }

   private:
    simdjson::dom::array::iterator at_;
    const JsonTree* tree_;
  };

  JsonItems(simdjson::dom::array array, const JsonTree* tree) : array_(array), tree_(tree) {}
  iterator begin() const { return {array_.begin(), tree_}; }
  iterator end() const { return {array_.end(), tree_}; }
  size_t size() const { return array_.size(); }  // for reserve(): simdjson stops counting at 2^24 - 1
  bool empty() const { return array_.size() == 0; }

 private:
  simdjson::dom::array array_;
  const JsonTree* tree_;
};

class JsonFields {
 public:
  class iterator {
   public:
    iterator(simdjson::dom::object::iterator at, const JsonTree* tree) : at_(at), tree_(tree) {}
    std::pair<std::string_view, Json> operator*() const { return {at_.key(), Json(at_.value(), tree_)}; }
    iterator& operator++() { return ++at_, *this; }
    bool operator!=(const iterator& other) const { return at_ != other.at_; }

   private:
    simdjson::dom::object::iterator at_;
    const JsonTree* tree_;
  };

  JsonFields(simdjson::dom::object object, const JsonTree* tree) : object_(object), tree_(tree) {}
  iterator begin() const { return {object_.begin(), tree_}; }
  iterator end() const { return {object_.end(), tree_}; }
  size_t size() const { return object_.size(); }  // for reserve(), as for JsonItems

 private:
  simdjson::dom::object object_;
  const JsonTree* tree_;
};

// Cheap to copy; handles stay valid while one copy lives.
class JsonDocument {
 public:
  Json root() const;

 private:
  friend Result<JsonDocument> parse_json(std::string_view, std::string, JsonOptions);
  explicit JsonDocument(std::shared_ptr<const JsonTree> tree) : tree_(std::move(tree)) {}
  std::shared_ptr<const JsonTree> tree_;
};

// The text may go away afterwards. `name` is what errors call it.
Result<JsonDocument> parse_json(std::string_view text, std::string name, JsonOptions options = {});
inline Result<JsonDocument> parse_json(Bytes bytes, std::string name, JsonOptions options = {}) {
  return parse_json(as_text(bytes), std::move(name), options);
}

}  // namespace cortland::archive
