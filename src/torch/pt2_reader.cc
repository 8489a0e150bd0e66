// read_pt2: from a file to a Graph.
#include <fmt/format.h>

#include <set>

#include "archive/printable.h"
#include "torch/asserted_sizes.h"
#include "torch/graph.h"
#include "torch/graph_reader.h"
#include "torch/pt2_archive.h"
#include "torch/pt2_signature.h"
#include "torch/pt2_source.h"
#include "torch/pt2_weights.h"
#include "torch/subclass_inputs.h"

namespace cortland::torch {

using archive::Json;
using archive::printable;

namespace {

Result<SchemaVersion> read_schema_version(const Json& program) {
  SchemaVersion version;
  TRY(const Json json, program.field("schema_version"));
  if (json.is_integer()) {  // before torch 2.3
    TRY(version.major, json.as_int64());
    return version;
  }
  TRY(const Json major, json.field("major"));
  TRY(version.major, major.as_int64());
  TRY(const Json minor, json.field("minor"));
  TRY(version.minor, minor.as_int64());
  return version;
}

Result<std::string> optional_text(const Json& json, std::string_view key) {
  TRY(const auto field, json.optional_field(key));
  if (!field) return std::string();
  TRY(const auto text, field->as_string());
  return std::string(text);
}

// The first verifier names the dialect. Until torch 2.4 a field did, and until 2.5 every program was ATEN.
Status read_dialect(const Json& program, Graph& graph) {
  TRY(const auto verifiers, program.optional_field("verifiers"));
  if (verifiers) {
    TRY(const auto items, verifiers->items());
    if (!items.empty()) {
      TRY(graph.dialect, (*items.begin()).as_string());
    }
  }
  if (graph.dialect.empty()) {
    TRY(graph.dialect, optional_text(program, "dialect"));
  }
  if (graph.dialect.empty()) graph.dialect = "ATEN";
  graph.functional = graph.dialect == "ATEN" || graph.dialect == "EDGE";
  TRY(graph.torch_version, optional_text(program, "torch_version"));
  if (graph.torch_version.empty()) graph.torch_version = "<=2.4";
  return {};
}

// A bound that may be absent; far away is the same as absent.
Result<int64_t> read_bound(const Json& range, std::string_view key, int64_t absent) {
  constexpr int64_t kFar = int64_t{1} << 62;
  TRY(const auto json, range.optional_field(key));
  if (!json || !json->is_integer()) return absent;
  const auto value = json->as_int64();
  if (!value || value.value() >= kFar) return DimRange::kUnbounded;
  return value.value() <= -kFar ? -DimRange::kUnbounded : value.value();
}

Status read_range_constraints(const Json& program, SymbolicSizes& sizes) {
  TRY(const auto json, program.optional_field("range_constraints"));
  if (!json) return {};
  TRY(const auto fields, json->fields());
  for (const auto [expression, bounds] : fields) {
    DimRange range;
    TRY(range.low, read_bound(bounds, "min_val", -DimRange::kUnbounded));
    TRY(range.high, read_bound(bounds, "max_val", DimRange::kUnbounded));
    TRY_DO(sizes.constrain(expression, range));
  }
  return {};
}

// What is in the size of no input, and is no input, an operator reads from data: how many elements a mask keeps, the number of an item.
void tell_sizes_of_data(Graph& graph, const SymbolicSizes& sizes) {
  std::set<std::string> given;
  const auto give = [&](Dim d) {
    for (const std::string& name : graph.dims->symbols(d)) given.insert(name);
  };
  for (const GraphInput& input : graph.inputs) {
    if (!input.value) continue;
    const Value& value = graph.values[input.value];
    for (const Dim d : value.type.shape) give(d);
    if (value.has_sym) give(value.sym);
  }
  for (const std::string& name : sizes.symbols())
    if (!given.count(name)) graph.dims->set_by_data(name);
}

// The pytree texts of the whole program are those of the module with the empty name.
Status read_pytrees(const Json& module, Graph& graph) {
  TRY(const auto calls, module.optional_field("module_call_graph"));
  if (!calls) return {};
  TRY(const auto items, calls->items());
  for (const Json call : items) {
    TRY(const auto fqn, optional_text(call, "fqn"));
    TRY(const auto signature, call.optional_field("signature"));
    if (!fqn.empty() || !signature) continue;
    TRY(graph.in_spec, optional_text(*signature, "in_spec"));
    TRY(graph.out_spec, optional_text(*signature, "out_spec"));
    return {};
  }
  return {};
}

using InputsKnown = std::function<void(const Graph&)>;

Status read_graph(const Json& module, MetaReader& metas, Pt2Weights& weights, Graph& graph, const InputsKnown& inputs_known) {
  TRY(const Json json, module.field("graph"));
  TRY(const Json signature, module.field("signature"));
  GraphReader reader(graph, metas);
  Subclasses subclasses;
  TRY_DO(reader.index_values(json));
  TRY_DO(read_inputs(json, signature, reader, weights, graph, subclasses));
  if (inputs_known) inputs_known(graph);
  TRY_DO(reader.read_nodes(json));
  TRY_DO(read_outputs(json, signature, reader, graph));
  return resolve_subclass_inputs(graph, std::move(subclasses), weights);
}

Result<Graph> read_program(const Pt2Archive& archive, const std::map<std::string, Weight>& tensors, const InputsKnown& inputs_known) {
  TRY(const auto document, archive.program());
  const Json program = document.root();
  TRY(const auto version, read_schema_version(program));
  TRY_DO(check_schema_version(archive.name(), version));
  Graph graph;
  TRY_DO(read_dialect(program, graph));
  MetaReader metas(*graph.dims);
  TRY_DO(read_range_constraints(program, metas.sizes()));
  TRY(auto weights, Pt2Weights::open(archive, tensors));
  TRY(const Json module, program.field("graph_module"));
  TRY_DO(read_graph(module, metas, weights, graph, inputs_known));
  tell_sizes_of_data(graph, metas.sizes());
  TRY_DO(read_pytrees(module, graph));
  graph.hints = metas.hints();
  return graph;
}

}  // namespace

Result<Graph> read_pt2(const Pt2Source& source, const std::string& model_name, const std::function<void(const Graph&)>& inputs_known) {
  TRY(const auto archive, Pt2Archive::open(source.archive, model_name));
  auto graph = read_program(archive, source.tensors, inputs_known);
  if (!graph) return std::move(graph).error();
  TRY_DO(verify(*graph));
  bound_asserted_sizes(*graph);
  bound_counted_sizes(*graph);
  return graph;
}

Result<Graph> read_pt2(std::shared_ptr<const MappedFile> file, const std::string& model_name) {
  return read_pt2(Pt2Source(std::move(file)), model_name);
}

Result<Graph> read_pt2(const std::string& path, const std::string& model_name) {
  TRY(auto file, MappedFile::open(path));
  return read_pt2(std::move(file), model_name);
}

}  // namespace cortland::torch
