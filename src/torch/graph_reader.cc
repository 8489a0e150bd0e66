#include "torch/graph_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "archive/printable.h"
#include "torch/stack_trace.h"

namespace cortland::torch {

using archive::Json;
using archive::printable;

std::string_view normalised_target(std::string_view target) {
  for (const std::string_view prefix :
       {"torch.ops.", "executorch.exir.dialects.edge._ops.", "executorch.exir.dialects.backend._ops."})
    if (target.size() > prefix.size() && target.starts_with(prefix)) return target.substr(prefix.size());
  return target;
}

namespace {

std::optional<std::string_view> repeated_name(const std::vector<NamedArg>& args) {
  std::vector<std::string_view> names;
  names.reserve(args.size());
  for (const NamedArg& arg : args)
    if (!arg.name.empty()) names.push_back(arg.name);
  std::sort(names.begin(), names.end());
  const auto twin = std::adjacent_find(names.begin(), names.end());
  return twin == names.end() ? std::nullopt : std::optional(*twin);
}

}  // namespace

// ---- values ----

Status GraphReader::index_table(const Json& graph, std::string_view field, Table& table) {
  TRY(const auto json, graph.optional_field(field));
  if (!json) return {};
  TRY(const auto fields, json->fields());
  table.reserve(fields.size());
  for (const auto [name, meta] : fields) table.emplace(name, meta);
  return {};
}

Status GraphReader::index_values(const Json& graph) {
  TRY_DO(index_table(graph, "tensor_values", tensors_));
  TRY_DO(index_table(graph, "sym_int_values", sym_ints_));
  TRY_DO(index_table(graph, "sym_float_values", sym_floats_));
  TRY_DO(index_table(graph, "sym_bool_values", sym_bools_));
  values_.reserve(tensors_.size() + sym_ints_.size());
  return {};
}

// What the tables say of a value; symbolic floats and bools are known by their kind alone.
Status GraphReader::describe(const Json& name, Value& value) {
  const Table& table = value.kind == Value::Kind::Tensor ? tensors_ : sym_ints_;
  const auto it = table.find(value.name);
  if (it == table.end()) return name.error(fmt::format("'{}' is not described", printable(value.name)));
  if (value.kind == Value::Kind::Tensor) {
    TRY(auto meta, metas_.tensor(it->second));
    value.type = std::move(meta.type);
    value.strides = std::move(meta.strides);
    return {};
  }
  TRY(const auto dim, metas_.sym_int(it->second));
  value.has_sym = dim.has_value();
  value.sym = dim.value_or(Dim());
  return {};
}

Result<ValueId> GraphReader::define(const Json& name, Value::Kind kind, NodeId producer) {
  TRY(const auto text, name.as_string());
  if (text.empty()) return name.error("a value must have a name");
  Value value;
  value.kind = kind;
  value.name = text;
  value.producer = producer;
  if (kind == Value::Kind::Tensor || kind == Value::Kind::SymInt) TRY_DO(describe(name, value));
  const auto [it, fresh] = values_.emplace(text, ValueId());
  if (!fresh) return name.error(fmt::format("'{}' is defined twice", printable(text)));
  it->second = graph_.add_value(std::move(value));
  return it->second;
}

// A result that turned out to be a number.
Result<ValueId> GraphReader::anonymous(Value::Kind kind, Dim constant, NodeId producer) {
  Value value;
  value.kind = kind;
  value.name = fmt::format("{}.{}", graph_.nodes[producer].name, graph_.values.size());  // no Python name has a dot
  value.sym = constant;
  value.has_sym = kind == Value::Kind::SymInt;
  value.producer = producer;
  return graph_.add_value(std::move(value));
}

Result<ValueId> GraphReader::lookup(const Json& name) const {
  TRY(const auto text, name.as_string());
  const auto it = values_.find(text);
  if (it == values_.end()) return name.error(fmt::format("'{}' is used before it is defined", printable(text)));
  return it->second;
}

// ---- inputs ----

Result<GraphInput> GraphReader::read_input(const Json& argument) {
  TRY(const auto only, argument.only_field());
  const auto& [tag, value] = only;
  GraphInput input;
  std::optional<Value::Kind> kind;
  std::string_view key = "as_name";
  if (tag == "as_tensor") kind = Value::Kind::Tensor, key = "name";
  if (tag == "as_custom_obj") kind = Value::Kind::Other, key = "name";
  if (tag == "as_sym_int") kind = Value::Kind::SymInt;
  if (tag == "as_sym_float") kind = Value::Kind::SymFloat;
  if (tag == "as_sym_bool") kind = Value::Kind::SymBool;
  if (!kind) {
    input.kind = GraphInput::Kind::ConstantInput;
    TRY(input.constant, read_arg(argument));
    return input;
  }
  TRY(const Json name, value.field(key));
  TRY(input.value, define(name, *kind, NodeId()));
  input.name = graph_.values[input.value].name;
  if (kind == Value::Kind::Other) input.kind = GraphInput::Kind::CustomObject;
  return input;
}

// ---- nodes ----

Status GraphReader::read_nodes(const Json& graph) {
  TRY(const Json nodes, graph.field("nodes"));
  TRY(const auto items, nodes.items());
  graph_.order.reserve(items.size());
  for (const Json node : items) TRY_DO(read_node(node));
  return {};
}

Status GraphReader::read_node(const Json& json) {
  Node node;
  TRY(const Json target, json.field("target"));
  TRY(const auto target_text, target.as_string());
  node.target = normalised_target(target_text);
  if (node.target.empty()) return target.error("a node must have a target");
  TRY(const Json inputs, json.field("inputs"));
  TRY_DO(read_args(inputs, node));
  if (const auto name = json.optional_field("name"); name && *name) {
    TRY(node.name, (*name)->as_string());
  }
  TRY(const auto metadata, json.optional_field("metadata"));
  if (metadata) {
    TRY(const auto trace, metadata->optional_field("stack_trace"));
    if (trace && trace->is_string()) {
      TRY(const auto text, trace->as_string());
      node.source = source_of(text);
    }
  }
  const NodeId id = graph_.nodes.add(std::move(node));
  graph_.order.push_back(id);
  TRY(const Json outputs, json.field("outputs"));
  return read_results(outputs, id);
}

Status GraphReader::read_args(const Json& inputs, Node& node) {
  TRY(const auto items, inputs.items());
  node.args.reserve(items.size());
  for (const Json item : items) {
    NamedArg named;
    TRY(const Json name, item.field("name"));
    TRY(named.name, name.as_string());
    TRY(const Json argument, item.field("arg"));
    TRY(named.arg, read_arg(argument));
    node.args.push_back(std::move(named));
  }
  if (const auto name = repeated_name(node.args))
    return inputs.error(fmt::format("the argument '{}' is given twice", printable(*name)));
  return {};
}

Status GraphReader::read_results(const Json& outputs, NodeId id) {
  TRY(const auto items, outputs.items());
  for (const Json item : items) TRY_DO(read_result(item, id));
  Node& node = graph_.nodes[id];
  if (items.size() == 1) {
    TRY(const auto only, (*items.begin()).only_field());
    node.returns_list = only.first == "as_tensors" || only.first == "as_optional_tensors";
  }
  if (node.name.empty()) {
    const bool named = !node.results.empty() && node.results[0].valid();
    node.name = named ? graph_.values[node.results[0]].name : fmt::format("{}_{}", node.target, id.index);
  }
  return {};
}

Status GraphReader::read_result(const Json& argument, NodeId id) {
  auto& results = graph_.nodes[id].results;
  TRY(const auto only, argument.only_field());
  const auto& [tag, value] = only;
  if (tag == "as_none") {
    results.emplace_back();
    return {};
  }
  if (tag == "as_tensors" || tag == "as_optional_tensors") {
    TRY(const auto items, value.items());
    for (Json item : items) {
      if (tag == "as_optional_tensors") {
        TRY_DO(read_result(item, id));
        continue;
      }
      TRY(const Json name, item.field("name"));
      TRY(results.emplace_back(), define(name, Value::Kind::Tensor, id));
    }
    return {};
  }
  if (tag == "as_optional_tensor") return read_result(value, id);
  if (tag == "as_tensor" || tag == "as_custom_obj") {
    TRY(const Json name, value.field("name"));
    TRY(results.emplace_back(), define(name, tag == "as_tensor" ? Value::Kind::Tensor : Value::Kind::Other, id));
    return {};
  }
  TRY(results.emplace_back(), read_sym_result(tag, value, id));
  return {};
}

Result<ValueId> GraphReader::read_sym_result(std::string_view tag, const Json& value, NodeId id) {
  const auto kind = tag.ends_with("int")     ? Value::Kind::SymInt
                    : tag.ends_with("float") ? Value::Kind::SymFloat
                                             : Value::Kind::SymBool;
  if (tag == "as_sym_int" || tag == "as_sym_float" || tag == "as_sym_bool") {
    TRY(const auto only, value.only_field());
    if (only.first == "as_name") return define(only.second, kind, id);
    if (only.first != "as_int") return anonymous(kind, Dim(), id);
    TRY(const int64_t number, only.second.as_int64());
    return anonymous(kind, metas_.dims().constant(number), id);
  }
  if (tag == "as_int") {
    TRY(const int64_t number, value.as_int64());
    return anonymous(kind, metas_.dims().constant(number), id);
  }
  if (tag == "as_float" || tag == "as_bool") return anonymous(kind, Dim(), id);
  return value.error(fmt::format("'{}' is no result of a node", printable(tag)));
}

// ---- subgraphs ----

Status GraphReader::read(const Json& graph) {
  TRY_DO(index_values(graph));
  TRY(const Json inputs, graph.field("inputs"));
  TRY(const auto input_items, inputs.items());
  for (const Json item : input_items) {
    TRY(auto input, read_input(item));
    graph_.inputs.push_back(std::move(input));
  }
  TRY_DO(read_nodes(graph));
  TRY(const Json outputs, graph.field("outputs"));
  TRY(const auto output_items, outputs.items());
  for (const Json item : output_items) {
    GraphOutput output;
    TRY(output.value, read_arg(item));
    graph_.outputs.push_back(std::move(output));
  }
  return {};
}

}  // namespace cortland::torch
