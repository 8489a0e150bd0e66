// The argument union of a program: which JSON tag becomes which Arg.
#include <fmt/format.h>

#include "archive/printable.h"
#include "torch/graph_reader.h"

namespace cortland::torch {

using archive::Json;
using archive::printable;

namespace {

// Tags of lists, and the tag that each of their items would have alone.
constexpr std::pair<std::string_view, std::string_view> kLists[] = {
    {"as_tensors", "as_tensor"},         {"as_optional_tensors", "as_optional_tensor"},
    {"as_nested_tensors", "as_tensors"}, {"as_ints", "as_int"},
    {"as_floats", "as_float"},           {"as_bools", "as_bool"},
    {"as_strings", "as_string"},         {"as_sym_ints", "as_sym_int"},
    {"as_sym_floats", "as_sym_float"},   {"as_sym_bools", "as_sym_bool"},
    {"as_int_lists", "as_ints"},         {"as_float_lists", "as_floats"},
};

std::string_view item_tag(std::string_view tag) {
  for (const auto& [list, item] : kLists)
    if (list == tag) return item;
  return {};
}

// Fill values reach up to 2^64 - 1, which only a double can hold here.
Result<Arg> read_integer(const Json& value) {
  if (!value.is_integer()) return value.error("an integer expected");
  if (const auto number = value.as_int64(); number.ok()) return Arg(number.value());
  TRY(const uint64_t number, value.as_uint64());
  return Arg(static_cast<double>(number));
}

Result<Arg> read_complex(const Json& value) {
  Complex number;
  TRY(const Json real, value.field("real"));
  TRY(number.real, real.as_double());
  TRY(const Json imag, value.field("imag"));
  TRY(number.imag, imag.as_double());
  return Arg(number);
}

Result<Arg> read_layout(const Json& value) {
  TRY(const int64_t code, value.as_int64());
  if (code < 0 || code > 7) return value.error(fmt::format("{} is no layout", code));
  return Arg(Layout{static_cast<int32_t>(code)});
}

Result<Arg> read_memory_format(const Json& value) {
  TRY(const int64_t code, value.as_int64());
  if (code < 1 || code > 4) return value.error(fmt::format("{} is no memory format", code));
  return Arg(static_cast<MemoryFormat>(code));
}

Result<Arg> read_device(const Json& value) {
  TRY(const Json type, value.field("type"));
  TRY(const auto text, type.as_string());
  return Arg(Device{std::string(text)});
}

}  // namespace

Result<Arg> GraphReader::read_arg(const Json& argument) {
  TRY(const auto only, argument.only_field());
  return read_item(only.first, only.second);
}

Result<Arg> GraphReader::read_item(std::string_view tag, const Json& value) {
  if (!item_tag(tag).empty()) return read_list(tag, value);
  if (tag == "as_none") return Arg();  // true, or [] before torch 2.6
  if (tag == "as_tensor") return read_named(value);
  if (tag == "as_optional_tensor") return read_optional_tensor(value);
  if (tag == "as_sym_int" || tag == "as_sym_float" || tag == "as_sym_bool") return read_sym(value);
  if (tag == "as_custom_obj") return read_custom_object(value);
  if (tag == "as_graph") return read_subgraph(value);
  if (tag == "as_string_to_argument") return read_dictionary(value);
  return read_scalar(tag, value);
}

Result<Arg> GraphReader::read_scalar(std::string_view tag, const Json& value) const {
  if (tag == "as_int") return read_integer(value);
  if (tag == "as_float") {
    TRY(const double number, value.as_double());
    return Arg(number);
  }
  if (tag == "as_bool") {
    TRY(const bool flag, value.as_bool());
    return Arg(flag);
  }
  if (tag == "as_string" || tag == "as_operator") {
    TRY(const auto text, value.as_string());
    return Arg(std::string(tag == "as_operator" ? normalised_target(text) : text));
  }
  if (tag == "as_complex") return read_complex(value);
  if (tag == "as_scalar_type") {
    TRY(const DType dtype, read_dtype(value));
    return Arg(dtype);
  }
  if (tag == "as_layout") return read_layout(value);
  if (tag == "as_memory_format") return read_memory_format(value);
  if (tag == "as_device") return read_device(value);
  return value.error(fmt::format("'{}' is no known kind of argument", printable(tag)));
}

Result<Arg> GraphReader::read_named(const Json& value) const {
  TRY(const Json name, value.field("name"));
  TRY(const ValueId id, lookup(name));
  return Arg(id);
}

// {"as_name": name}, or the number where it is not symbolic.
Result<Arg> GraphReader::read_sym(const Json& value) const {
  TRY(const auto only, value.only_field());
  if (only.first != "as_name") return read_scalar(only.first, only.second);
  TRY(const ValueId id, lookup(only.second));
  return Arg(id);
}

// {"as_tensor": {"name"}} or {"as_none": true}; {"name"} alone or null in old files.
Result<Arg> GraphReader::read_optional_tensor(const Json& value) const {
  if (value.is_null()) return Arg();
  TRY(const auto only, value.only_field());
  if (only.first == "as_none") return Arg();
  if (only.first == "name") return read_named(value);
  if (only.first != "as_tensor") return value.error("a tensor or None expected");
  return read_named(only.second);
}

// Objects that are no graph inputs are constants of the operator; their class is all that is known.
Result<Arg> GraphReader::read_custom_object(const Json& value) const {
  TRY(const Json name, value.field("name"));
  TRY(const auto text, name.as_string());
  if (const auto it = values_.find(text); it != values_.end()) return Arg(it->second);
  return Arg(std::string(text));
}

Result<Arg> GraphReader::read_list(std::string_view tag, const Json& value) {
  const auto item = item_tag(tag);
  TRY(const auto items, value.items());
  Arg::List list;
  list.reserve(items.size());
  for (const Json json : items) {
    TRY(list.emplace_back(), read_item(item, json));
  }
  return Arg(std::move(list));
}

// {str: argument} as a list of [key, argument].
Result<Arg> GraphReader::read_dictionary(const Json& value) {
  TRY(const auto fields, value.fields());
  Arg::List list;
  for (const auto [key, argument] : fields) {
    Arg::List pair{Arg(std::string(key))};
    TRY(pair.emplace_back(), read_arg(argument));
    list.emplace_back(std::move(pair));
  }
  return Arg(std::move(list));
}

Result<Arg> GraphReader::read_subgraph(const Json& value) {
  TRY(const Json json, value.field("graph"));
  auto graph = std::make_unique<Graph>();
  graph->dims = graph_.dims;
  graph->functional = graph_.functional;
  graph->dialect = graph_.dialect;
  graph->torch_version = graph_.torch_version;
  TRY_DO(GraphReader(*graph, metas_).read(json));
  return Arg(graph_.subgraphs.add(std::move(graph)));
}

}  // namespace cortland::torch
